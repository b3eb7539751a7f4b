{{/* The writer's plain settings as they are in its environment. YAML reads a bare `off` as false. */}}
{{- define "billing-writer.settings" -}}
{{- $settings := dict "WRITER_LISTEN" (printf "%s:%d" .Values.listenHost (int .Values.port)) -}}
{{- range $name, $value := .Values.settings -}}
{{- if kindIs "bool" $value -}}
{{- $_ := set $settings $name (ternary (ternary "on" "off" $value) (toString $value) (eq $name "RECONCILE_AT")) -}}
{{- else if kindIs "float64" $value -}}
{{- $_ := set $settings $name (ternary (int64 $value | toString) (toString $value) (eq (floor $value) $value)) -}}
{{- else if not (empty $value) -}}
{{- $_ := set $settings $name (toString $value) -}}
{{- end -}}
{{- end -}}
{{- if .Values.reconcile.enabled -}}
{{- $_ := set $settings "RECONCILE_AT" "off" -}}
{{- end -}}
{{- toYaml $settings -}}
{{- end -}}

{{- define "billing-writer.secretName" -}}
{{- $own := index .root.Values.secrets .name -}}
{{- $own.existingSecret | default .root.Values.secrets.existingSecret -}}
{{- end -}}

{{/* Variables whose values stand in Secrets: `names` of them, those without a key left out. */}}
{{- define "billing-writer.secretEnv" -}}
{{- range $name := .names }}
{{- $own := index $.root.Values.secrets $name }}
{{- if $own.key }}
- name: {{ $name | quote }}
  valueFrom:
    secretKeyRef:
      name: {{ include "billing-writer.secretName" (dict "root" $.root "name" $name) | quote }}
      key: {{ $own.key | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* DATABASE_URL of what must not go through a pooler. */}}
{{- define "billing-writer.directDatabaseEnv" -}}
{{- $name := ternary "directDatabaseUrl" "DATABASE_URL" (not (empty .Values.secrets.directDatabaseUrl.key)) -}}
- name: DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ include "billing-writer.secretName" (dict "root" . "name" $name) | quote }}
      key: {{ (index .Values.secrets $name).key | quote }}
{{- end -}}

{{/* The limits of sessions, for commands that reach Postgres itself; the ConfigMap would also name the pooler. */}}
{{- define "billing-writer.directSettings" -}}
{{- $settings := include "billing-writer.settings" . | fromYaml -}}
{{- range $name := list "DATABASE_STATEMENT_TIMEOUT" "DATABASE_LOCK_TIMEOUT" "DATABASE_IDLE_TIMEOUT" "LOG_LEVEL" "LOG_FORMAT" }}
{{- with index $settings $name }}
- name: {{ $name | quote }}
  value: {{ . | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "billing-writer.extraEnv" -}}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
