{{/* One line in `initContainers:` of an app: the sidecar, native. */}}
{{- define "billing-sidecar.container" -}}
{{- if not (include "billing-sidecar.native" .) -}}
{{- fail "billing-sidecar.container is a native sidecar, which Kubernetes has since 1.29; for an older cluster put billing-sidecar.initContainers into initContainers: and billing-sidecar.containers into containers:" -}}
{{- end -}}
{{- include "billing-sidecar.item" (dict "values" (include "billing-sidecar.values" . | fromYaml) "native" true "root" .) -}}
{{- end -}}

{{- define "billing-sidecar.initContainers" -}}
{{- if include "billing-sidecar.native" . -}}
{{- include "billing-sidecar.container" . -}}
{{- end -}}
{{- end -}}

{{- define "billing-sidecar.containers" -}}
{{- if not (include "billing-sidecar.native" .) -}}
{{- include "billing-sidecar.item" (dict "values" (include "billing-sidecar.values" . | fromYaml) "native" false "root" .) -}}
{{- end -}}
{{- end -}}

{{- define "billing-sidecar.item" -}}
{{- with .values -}}
- name: {{ .name | quote }}
  image: {{ include "billing-sidecar.image" $ | quote }}
  imagePullPolicy: {{ .image.pullPolicy | quote }}
  command: [python, -m, sidecar]
  {{- if $.native }}
  restartPolicy: Always
  {{- end }}
  securityContext:
    allowPrivilegeEscalation: false
    privileged: false
    readOnlyRootFilesystem: true
    runAsNonRoot: true
    {{- with .security.runAsUser }}
    runAsUser: {{ int64 . }}
    {{- end }}
    {{- with .security.runAsGroup }}
    runAsGroup: {{ int64 . }}
    {{- end }}
    capabilities:
      drop: [ALL]
    seccompProfile:
      type: RuntimeDefault
  env:
    {{- include "billing-sidecar.env" . | nindent 4 }}
  ports:
    - name: billing-mgmt
      containerPort: {{ int .managementPort }}
      protocol: TCP
  startupProbe:
    httpGet: {path: /live, port: billing-mgmt}
    {{- include "billing-sidecar.probe" .probes.startup | nindent 4 }}
  livenessProbe:
    httpGet: {path: /live, port: billing-mgmt}
    {{- include "billing-sidecar.probe" .probes.liveness | nindent 4 }}
  readinessProbe:
    httpGet: {path: /ready, port: billing-mgmt}
    {{- include "billing-sidecar.probe" .probes.readiness | nindent 4 }}
  {{- if and (not $.native) (int .preStopSeconds) }}
  lifecycle:
    preStop:
      exec:
        command: [python, -c, "import time; time.sleep({{ int .preStopSeconds }})"]
  {{- end }}
  resources:
    {{- toYaml .resources | nindent 4 }}
  {{- with include "billing-sidecar.volumeMounts" . }}
  volumeMounts:
    {{- . | nindent 4 }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "billing-sidecar.image" -}}
{{- with .values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default (index $.root.Subcharts "billing-sidecar").Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "billing-sidecar.probe" -}}
periodSeconds: {{ int .periodSeconds }}
timeoutSeconds: {{ int .timeoutSeconds }}
failureThreshold: {{ int .failureThreshold }}
{{- end -}}
