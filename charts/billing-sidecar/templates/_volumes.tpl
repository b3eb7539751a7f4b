{{- define "billing-sidecar.volumeMounts" -}}
{{- $mounts := list -}}
{{- if .copies.enabled -}}
{{- $mounts = append $mounts (dict "name" "billing-copies" "mountPath" .copies.directory) -}}
{{- end -}}
{{- if .unixSocket.enabled -}}
{{- $mounts = append $mounts (dict "name" "billing-socket" "mountPath" .unixSocket.directory) -}}
{{- end -}}
{{- if .redis.tlsSecret -}}
{{- $mounts = append $mounts (dict "name" "billing-redis-tls" "mountPath" "/etc/billing/tls/redis" "readOnly" true) -}}
{{- end -}}
{{- with concat $mounts .extraVolumeMounts -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* What stands in `volumes:` of the app's pod. 292 is 0444: the pod is the app's, and may have no group for files. */}}
{{- define "billing-sidecar.volumes" -}}
{{- $values := include "billing-sidecar.values" . | fromYaml -}}
{{- $volumes := list -}}
{{- with $values -}}
{{- if .copies.enabled -}}
{{- $source := .copies.volume | default (dict "emptyDir" (dict "sizeLimit" .copies.sizeLimit)) -}}
{{- $volumes = append $volumes (merge (dict "name" "billing-copies") $source) -}}
{{- end -}}
{{- if .unixSocket.enabled -}}
{{- $volumes = append $volumes (dict "name" "billing-socket" "emptyDir" (dict "medium" "Memory" "sizeLimit" "1Mi")) -}}
{{- end -}}
{{- if .redis.tlsSecret -}}
{{- $volumes = append $volumes (dict "name" "billing-redis-tls" "secret" (dict "secretName" .redis.tlsSecret "defaultMode" 292)) -}}
{{- end -}}
{{- end -}}
{{- with $volumes -}}
{{- toYaml . -}}
{{- end -}}
{{- end -}}

{{/* What stands in `env:` of the app's container. */}}
{{- define "billing-sidecar.appEnv" -}}
{{- with include "billing-sidecar.values" . | fromYaml -}}
- name: SIDECAR_URL
  value: {{ ternary (printf "unix:%s/sidecar.sock" .unixSocket.directory) (printf "http://127.0.0.1:%d" (int .port)) .unixSocket.enabled | quote }}
{{- end -}}
{{- end -}}

{{/* What stands in `volumeMounts:` of the app's container; nothing where it asks over TCP. */}}
{{- define "billing-sidecar.appVolumeMounts" -}}
{{- with include "billing-sidecar.values" . | fromYaml -}}
{{- if .unixSocket.enabled -}}
- name: billing-socket
  mountPath: {{ .unixSocket.directory | quote }}
{{- end -}}
{{- end -}}
{{- end -}}
