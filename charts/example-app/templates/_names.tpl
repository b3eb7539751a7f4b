{{/* What selects the app's pods; the PodMonitor of the sidecar goes by these two as well. */}}
{{- define "example-app.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}
