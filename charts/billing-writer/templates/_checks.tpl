{{/* What the schema cannot see, all of it at once. */}}
{{- define "billing-writer.check" -}}
{{- $faults := concat
    (include "billing-writer.faultsOfSecrets" . | fromYamlArray)
    (include "billing-writer.faultsOfEnvironment" . | fromYamlArray)
    (include "billing-writer.faultsOfCapacity" . | fromYamlArray)
    (include "billing-writer.faultsOfNetwork" . | fromYamlArray) -}}
{{- if not .Values.image.repository -}}
{{- $faults = prepend $faults "image.repository is not set: where did you push the image?" -}}
{{- end -}}
{{- if $faults -}}
{{- fail (printf "\nthe values of billing-writer are wrong:\n  %s\n" (join "\n  " $faults)) -}}
{{- end -}}
{{- end -}}

{{- define "billing-writer.faultsOfSecrets" -}}
{{- $faults := list -}}
{{- range $name, $own := omit .Values.secrets "existingSecret" -}}
{{- if and $own.key (not $own.existingSecret) (not $.Values.secrets.existingSecret) -}}
{{- $faults = append $faults (printf "secrets.existingSecret is not set, nor is secrets.%s.existingSecret: which Secret has the key %s?" $name $own.key) -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.secrets.STRIPE_WEBHOOK_SECRET.key) (not .Values.settings.STRIPE_POLL) -}}
{{- $faults = append $faults "secrets.STRIPE_WEBHOOK_SECRET.key is empty: webhooks need it, only settings.STRIPE_POLL does without" -}}
{{- end -}}
{{- if and (eq (toString .Values.settings.DATABASE_POOLER) "transaction") (not .Values.secrets.directDatabaseUrl.key) (or .Values.migration.enabled .Values.backup.enabled .Values.restore.file) -}}
{{- $faults = append $faults "secrets.directDatabaseUrl.key is not set: with settings.DATABASE_POOLER=transaction migrations and backups need the URL of Postgres itself" -}}
{{- end -}}
{{- if and .Values.restore.file (not .Values.backup.enabled) (not .Values.backup.persistence.existingClaim) -}}
{{- $faults = append $faults "restore.file: which volume is it on? Set backup.enabled, or backup.persistence.existingClaim" -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- define "billing-writer.faultsOfEnvironment" -}}
{{- $faults := list -}}
{{- range .Values.extraEnv -}}
{{- if hasKey $.Values.secrets .name -}}
{{- $faults = append $faults (printf "extraEnv: %s comes from secrets.%s" .name .name) -}}
{{- else if or (hasKey $.Values.settings .name) (regexMatch "^(DATABASE|REDIS|STRIPE|WRITER|SIDECAR|CACHE|EVENT|RECONCILE|LOG|ADMIN|TRUSTED|ENTITLEMENT|PAST_DUE|BACKUP)_" .name) -}}
{{- $faults = append $faults (printf "extraEnv: %s belongs in settings, which knows the writer's names" .name) -}}
{{- end -}}
{{- end -}}
{{- if and .Values.reconcile.enabled .Values.settings.RECONCILE_AT -}}
{{- if ne (toString .Values.settings.RECONCILE_AT) "off" -}}
{{- $faults = append $faults "settings.RECONCILE_AT and reconcile.enabled: one of them is to compare with Stripe, not both" -}}
{{- end -}}
{{- end -}}
{{- if lt (int .Values.terminationGracePeriodSeconds) (add (int .Values.preStopSeconds) 15) -}}
{{- $faults = append $faults (printf "terminationGracePeriodSeconds must be %d or more: preStopSeconds, and 15 that a writer needs to end" (add (int .Values.preStopSeconds) 15)) -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- define "billing-writer.leastReplicas" -}}
{{- ternary (int .Values.autoscaling.minReplicas) (int .Values.replicas) .Values.autoscaling.enabled -}}
{{- end -}}

{{- define "billing-writer.faultsOfCapacity" -}}
{{- $faults := list -}}
{{- $least := include "billing-writer.leastReplicas" . | int -}}
{{- if .Values.autoscaling.enabled -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- $faults = append $faults "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if not (or .Values.autoscaling.targetCPU .Values.autoscaling.targetMemory .Values.autoscaling.metrics) -}}
{{- $faults = append $faults "autoscaling has nothing to go by: set targetCPU, targetMemory or metrics" -}}
{{- end -}}
{{- end -}}
{{- with .Values.podDisruptionBudget -}}
{{- if .enabled -}}
{{- $wanted := toString .minAvailable -}}
{{- if and (hasSuffix "%" $wanted) (ge (mul $least (trimSuffix "%" $wanted | int)) (add (mul 100 (sub $least 1)) 1)) -}}
{{- $faults = append $faults (printf "podDisruptionBudget.minAvailable: %s of %d writers blocks every drain of a node" $wanted $least) -}}
{{- else if and (not (hasSuffix "%" $wanted)) $wanted (ge (int $wanted) $least) -}}
{{- $faults = append $faults (printf "podDisruptionBudget.minAvailable: %s of %d writers blocks every drain of a node" $wanted $least) -}}
{{- else if and (not $wanted) (has (toString .maxUnavailable) (list "0" "0%")) -}}
{{- $faults = append $faults "podDisruptionBudget.maxUnavailable: 0 blocks every drain of a node" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if has (toString .Values.maxSurge) (list "0" "0%") -}}
{{- $faults = append $faults "maxSurge: with 0 no upgrade can begin, as no writer may be missing meanwhile" -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}

{{- define "billing-writer.faultsOfNetwork" -}}
{{- $faults := list -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.hosts) -}}
{{- $faults = append $faults "ingress.hosts is empty: which name do clients ask for?" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- $faults = append $faults "httpRoute.parentRefs is empty: which gateway leads here?" -}}
{{- end -}}
{{- with .Values.networkPolicy -}}
{{- if and .enabled (or .from.ingress .from.apps .from.prometheus) -}}
{{- if not .from.apps -}}
{{- $faults = append $faults "networkPolicy.from.apps is empty while others are named: sidecars and apps would be cut off" -}}
{{- end -}}
{{- if and (or $.Values.ingress.enabled $.Values.httpRoute.enabled) (not .from.ingress) -}}
{{- $faults = append $faults "networkPolicy.from.ingress is empty while others are named: Stripe's webhooks would be cut off" -}}
{{- end -}}
{{- if and $.Values.monitoring.serviceMonitor.enabled (not .from.prometheus) -}}
{{- $faults = append $faults "networkPolicy.from.prometheus is empty while others are named: Prometheus would be cut off" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $faults -}}
{{- end -}}
