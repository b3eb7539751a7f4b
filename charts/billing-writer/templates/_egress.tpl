{{/* A rule to some peers, or to everybody, on some ports. */}}
{{- define "billing-writer.egressRule" -}}
- ports:
    {{- range $port := .rule.ports }}
    {{- range $protocol := $.protocols }}
    - port: {{ int $port }}
      protocol: {{ $protocol }}
    {{- end }}
    {{- end }}
  {{- with .rule.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Whom writers and jobs may reach. */}}
{{- define "billing-writer.egress" -}}
{{- with .Values.networkPolicy -}}
{{- include "billing-writer.egressRule" (dict "rule" .dns "protocols" (list "UDP" "TCP")) }}
{{ include "billing-writer.egressRule" (dict "rule" .postgres "protocols" (list "TCP")) }}
{{ include "billing-writer.egressRule" (dict "rule" .redis "protocols" (list "TCP")) }}
{{ include "billing-writer.egressRule" (dict "rule" .stripe "protocols" (list "TCP")) }}
{{- if or $.Values.settings.OTEL_EXPORTER_OTLP_ENDPOINT $.Values.settings.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT }}
{{ include "billing-writer.egressRule" (dict "rule" .otlp "protocols" (list "TCP")) }}
{{- end }}
{{- with .extraEgress }}
{{ toYaml . }}
{{- end }}
{{- end -}}
{{- end -}}
