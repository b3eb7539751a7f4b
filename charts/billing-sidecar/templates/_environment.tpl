{{/* What the sidecar is told. Secrets come first: what is composed of them refers back to them. */}}
{{- define "billing-sidecar.env" -}}
{{- $values := . -}}
- name: SIDECAR_PROJECT
  value: {{ $ids := list }}{{ range .projects }}{{ $ids = append $ids .id }}{{ end }}{{ join "," $ids | quote }}
{{- include "billing-sidecar.apiKeys" . }}
{{- with .writerUrl }}
- name: WRITER_URL
  value: {{ . | quote }}
{{- end }}
{{- include "billing-sidecar.redisEnv" .redis }}
- name: SIDECAR_LISTEN
  value: {{ ternary (printf "unix:%s/sidecar.sock" .unixSocket.directory) (printf "127.0.0.1:%d" (int .port)) .unixSocket.enabled | quote }}
- name: SIDECAR_MANAGEMENT_LISTEN
  value: {{ printf "%s:%d" .managementHost (int .managementPort) | quote }}
{{- if .copies.enabled }}
- name: SIDECAR_SNAPSHOT_DIR
  value: {{ .copies.directory | quote }}
{{- end }}
{{- if not .settings.SIDECAR_INSTANCE }}
- name: SIDECAR_INSTANCE
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
{{- range $name, $value := .settings }}
{{- if kindIs "float64" $value }}
- name: {{ $name | quote }}
  value: {{ ternary (int64 $value | toString) (toString $value) (eq (floor $value) $value) | quote }}
{{- else if or (kindIs "bool" $value) (not (empty $value)) }}
- name: {{ $name | quote }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- end }}
{{- with .extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* One key as it is; of several a list, in the order of projects. */}}
{{- define "billing-sidecar.apiKeys" -}}
{{- $names := list -}}
{{- range $i, $project := .projects }}
{{- with $project.apiKey }}
{{- $name := ternary "SIDECAR_API_KEY" (printf "PROJECT_API_KEY_%d" $i) (eq (len $.projects) 1) }}
{{- $names = append $names (printf "$(%s)" $name) }}
- name: {{ $name | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ .existingSecret | quote }}
      key: {{ .key | quote }}
{{- end }}
{{- end }}
{{- if gt (len $names) 1 }}
- name: SIDECAR_API_KEY
  value: {{ join "," $names | quote }}
{{- end }}
{{- end -}}

{{- define "billing-sidecar.redisEnv" -}}
{{- $secret := .existingSecret -}}
{{- if .urlKey }}
- name: REDIS_URL
  valueFrom:
    secretKeyRef:
      name: {{ $secret | quote }}
      key: {{ .urlKey | quote }}
{{- else if .address }}
{{- with .usernameKey }}
- name: REDIS_USERNAME
  valueFrom:
    secretKeyRef:
      name: {{ $secret | quote }}
      key: {{ . | quote }}
{{- end }}
{{- with .passwordKey }}
- name: REDIS_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $secret | quote }}
      key: {{ . | quote }}
{{- end }}
{{- $login := ternary (printf "%s:$(REDIS_PASSWORD)@" (ternary "$(REDIS_USERNAME)" "" (not (empty .usernameKey)))) "" (not (empty .passwordKey)) }}
- name: REDIS_URL
  value: {{ printf "%s://%s%s%s" .scheme $login .address (ternary (printf "?%s" .options) "" (not (empty .options))) | quote }}
{{- end }}
{{- end -}}
