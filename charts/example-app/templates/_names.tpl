{{/* What selects the app's pods; the PodMonitor of the sidecar goes by these two as well. */}}
{{- define "example-app.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}
