{{/* Names, labels, annotations, the image. Everything that is printed as text is quoted: YAML reads 1234, on and 1e3 as others. */}}

{{- define "pith.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/*
50 characters leave room for suffixes. A Service's name begins with a letter and has no dots, which a release's name
need not keep to.
*/}}
{{- define "pith.fullname" -}}
{{- $name := include "pith.name" . -}}
{{- $release := .Release.Name | replace "." "-" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if not (regexMatch "^[a-z]" $release) -}}
{{- printf "%s-%s" $name $release | trunc 50 | trimSuffix "-" -}}
{{- else if contains $name $release -}}
{{- $release | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" $release $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pith.selectorLabels" -}}
app.kubernetes.io/name: {{ include "pith.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "pith.labels" -}}
{{ include "pith.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | quote }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The metadata of an object. Context: dict "root" "suffix" "labels" "annotations" "namespace"; the last four may be absent. */}}
{{- define "pith.metadata" -}}
{{- $annotations := mustMerge (dict) (.annotations | default dict) .root.Values.commonAnnotations -}}
{{- $labels := mustMergeOverwrite (include "pith.labels" .root | fromYaml) (.labels | default dict) -}}
name: {{ printf "%s%s" (include "pith.fullname" .root) (.suffix | default "") | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/*
An object with `patches` merged into it: maps are merged, lists and all else replaced. Context: dict "root" "text".
*/}}
{{- define "pith.patched" -}}
{{- $object := .text | fromYaml -}}
{{- if hasKey $object "Error" }}{{ fail (printf "the chart made YAML that cannot be read: %s" $object.Error) }}{{ end -}}
{{- $patch := get .root.Values.patches $object.kind -}}
{{- if $patch -}}
{{- mustMergeOverwrite $object (deepCopy $patch) | toYaml -}}
{{- else -}}
{{- .text -}}
{{- end -}}
{{- end -}}

{{/* The labels of the pods with a gateway; empty if another chart creates them and sidecar.selector is not set. */}}
{{- define "pith.podSelector" -}}
{{- if eq (include "pith.makesPods" .) "true" -}}
{{ include "pith.selectorLabels" . }}
{{- else if .Values.sidecar.selector -}}
{{ toYaml .Values.sidecar.selector }}
{{- end -}}
{{- end -}}

{{- define "pith.image" -}}
{{- $image := .Values.image -}}
{{- $path := $image.repository -}}
{{- with .Values.global.imageRegistry | default $image.registry }}{{ $path = printf "%s/%s" . $path }}{{ end -}}
{{- if $image.digest -}}
{{ printf "%s@%s" $path $image.digest }}
{{- else -}}
{{ printf "%s:%s" $path ($image.tag | default .Chart.AppVersion) }}
{{- end -}}
{{- end -}}

{{/* global.imagePullSecrets may be names or maps with a name, as in other charts. */}}
{{- define "pith.imagePullSecrets" -}}
{{- $names := list -}}
{{- range concat (.Values.global.imagePullSecrets | default list) .Values.imagePullSecrets -}}
{{- $names = append $names (ternary . (get (ternary (dict) . (kindIs "string" .)) "name") (kindIs "string" .)) -}}
{{- end -}}
{{- with $names | uniq -}}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end -}}
{{- end -}}

{{- define "pith.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "pith.fullname" .) }}
{{- else -}}
{{ .Values.serviceAccount.name | default "default" }}
{{- end -}}
{{- end -}}
