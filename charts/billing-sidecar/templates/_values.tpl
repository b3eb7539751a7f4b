{{/* The library's values, which stand under its name in the app's chart. */}}
{{- define "billing-sidecar.values" -}}
{{- $values := index .Values "billing-sidecar" -}}
{{- if not $values -}}
{{- fail "there are no values for billing-sidecar: name it among the dependencies of this chart, then helm dependency build" -}}
{{- end -}}
{{- include "billing-sidecar.check" $values -}}
{{- toYaml $values -}}
{{- end -}}

{{/* What the schema cannot see, all of it at once. */}}
{{- define "billing-sidecar.check" -}}
{{- $faults := list -}}
{{- if not .image.repository -}}
{{- $faults = append $faults "image.repository is not set: where did you push the image?" -}}
{{- end -}}
{{- if not .projects -}}
{{- $faults = append $faults "projects is empty: which project do you ask about?" -}}
{{- end -}}
{{- $ids := list -}}
{{- range .projects -}}
{{- if has .id $ids -}}
{{- $faults = append $faults (printf "projects names %s twice" .id) -}}
{{- end -}}
{{- $ids = append $ids .id -}}
{{- if and $.writerUrl (not .apiKey) -}}
{{- $faults = append $faults (printf "projects: %s has no apiKey, which the writer asks for" .id) -}}
{{- end -}}
{{- end -}}
{{- with .redis -}}
{{- if and .urlKey .address -}}
{{- $faults = append $faults "redis has both urlKey and address: one of them says where Redis is" -}}
{{- end -}}
{{- if and (or .urlKey .usernameKey .passwordKey) (not .existingSecret) -}}
{{- $faults = append $faults "redis.existingSecret is not set: which Secret has the keys?" -}}
{{- end -}}
{{- if and (or .usernameKey .passwordKey) (not .address) -}}
{{- $faults = append $faults "redis.address is not set: where is Redis?" -}}
{{- end -}}
{{- if and .usernameKey (not .passwordKey) -}}
{{- $faults = append $faults "redis.passwordKey is not set: a user has a password" -}}
{{- end -}}
{{- if and (not .urlKey) (not .address) (not $.writerUrl) -}}
{{- $faults = append $faults "neither redis.urlKey, redis.address nor writerUrl is set: one is needed, better Redis and the writer" -}}
{{- end -}}
{{- if contains "@" .address -}}
{{- $faults = append $faults "redis.address must not hold user and password: name the Secret that has them" -}}
{{- end -}}
{{- end -}}
{{- range .extraEnv -}}
{{- if regexMatch "^(SIDECAR|REDIS|WRITER|DATABASE|STRIPE|LOG|ADMIN)_" .name -}}
{{- $faults = append $faults (printf "extraEnv: %s belongs in settings, or follows from another value" .name) -}}
{{- end -}}
{{- end -}}
{{- if eq (int .port) (int .managementPort) -}}
{{- $faults = append $faults "port and managementPort are the same" -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\nthe values of billing-sidecar are wrong:\n  %s\n" (join "\n  " $faults)) -}}
{{- end -}}
{{- end -}}

{{/* Whether the sidecar is a native one: "true", or nothing. */}}
{{- define "billing-sidecar.native" -}}
{{- $values := index .Values "billing-sidecar" -}}
{{- $version := $values.kubeVersion | default .Capabilities.KubeVersion.Version -}}
{{- if or (eq $values.mode "native") (and (eq $values.mode "auto") (semverCompare ">=1.29.0-0" $version)) -}}
true
{{- end -}}
{{- end -}}
