{{- define "billing-writer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 42 | trimSuffix "-" -}}
{{- end -}}

{{/* 42 characters, so that the name of a CronJob, which may have 52, is whole. */}}
{{- define "billing-writer.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else -}}
{{- $name := include "billing-writer.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 42 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 42 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What selects pods. It must stay as it is: a Deployment's selector cannot be changed. */}}
{{- define "billing-writer.selectorLabels" -}}
app.kubernetes.io/name: {{ include "billing-writer.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component | quote }}
{{- end -}}

{{/* The labels of a resource, and `more` of them; those that select pods win. */}}
{{- define "billing-writer.labels" -}}
{{- $own := include "billing-writer.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" (regexReplaceAll "^[^A-Za-z0-9]+|[^A-Za-z0-9]+$" (.root.Values.image.tag | default .root.Chart.AppVersion | trunc 63) "") -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "billing" -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-") -}}
{{- merge $own (deepCopy (.more | default dict)) (deepCopy .root.Values.commonLabels) | toYaml -}}
{{- end -}}

{{- define "billing-writer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "billing-writer.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* A hook runs before the release's own account is made, so it has one only where that was there before. */}}
{{- define "billing-writer.hookServiceAccountName" -}}
{{- if .Values.serviceAccount.create }}default{{ else }}{{ include "billing-writer.serviceAccountName" . }}{{ end -}}
{{- end -}}

{{- define "billing-writer.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{- define "billing-writer.kubeVersion" -}}
{{- .Values.kubeVersion | default .Capabilities.KubeVersion.Version -}}
{{- end -}}
