{{- define "billing-sidecar.podMonitor" -}}
{{- with (include "billing-sidecar.values" . | fromYaml).podMonitor -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ printf "%s-billing-sidecar" ($.Release.Name | trunc 40 | trimSuffix "-") }}
  namespace: {{ $.Release.Namespace }}
  labels:
    app.kubernetes.io/name: billing-sidecar
    app.kubernetes.io/instance: {{ $.Release.Name }}
    app.kubernetes.io/managed-by: {{ $.Release.Service }}
    app.kubernetes.io/part-of: billing
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- toYaml (.matchLabels | default (dict "app.kubernetes.io/name" (default $.Chart.Name $.Values.nameOverride) "app.kubernetes.io/instance" $.Release.Name)) | nindent 6 }}
  namespaceSelector:
    matchNames: [{{ $.Release.Namespace }}]
  podMetricsEndpoints:
    - port: billing-mgmt
      path: /metrics
      interval: {{ .interval }}
      scrapeTimeout: {{ .scrapeTimeout }}
{{- end -}}
{{- end -}}
{{- end -}}
