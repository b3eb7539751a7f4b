{{- define "billing-sidecar.podMonitor" -}}
{{- with (include "billing-sidecar.values" . | fromYaml).podMonitor -}}
{{- if .enabled -}}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  name: {{ printf "%s-billing-sidecar" ($.Release.Name | trunc 40 | trimSuffix "-") | quote }}
  namespace: {{ $.Release.Namespace | quote }}
  labels:
    app.kubernetes.io/name: billing-sidecar
    app.kubernetes.io/instance: {{ $.Release.Name | quote }}
    app.kubernetes.io/managed-by: {{ $.Release.Service | quote }}
    app.kubernetes.io/part-of: billing
    {{- with .labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- toYaml (.matchLabels | default (dict "app.kubernetes.io/name" (default $.Chart.Name $.Values.nameOverride) "app.kubernetes.io/instance" $.Release.Name)) | nindent 6 }}
  namespaceSelector:
    matchNames: [{{ $.Release.Namespace | quote }}]
  podMetricsEndpoints:
    - port: billing-mgmt
      path: /metrics
      interval: {{ .interval | quote }}
      scrapeTimeout: {{ .scrapeTimeout | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
