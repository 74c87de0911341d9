{{/* The gateway's container. Other charts may include templates named pith.sidecar.… */}}

{{- define "pith.container" -}}
name: pith
image: {{ include "pith.image" . | quote }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- if eq .Values.mode "fleet" }}
args: {{ prepend (include "pith.configArgs" . | fromYamlArray) "serve" | toJson }}
{{- end }}
ports:
  {{- range $index, $port := include "pith.clientPorts" . | fromJsonArray }}
  - name: {{ include "pith.clientPortName" $index }}
    containerPort: {{ $port }}
  {{- end }}
  - name: health
    containerPort: {{ include "pith.healthPort" . }}
{{- with include "pith.env" . | trim }}
env:
  {{- . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
startupProbe:
  httpGet: { path: /livez, port: health }
  {{- toYaml .Values.probes.startup | nindent 2 }}
livenessProbe:
  httpGet: { path: /livez, port: health }
  {{- toYaml .Values.probes.liveness | nindent 2 }}
readinessProbe:
  httpGet: { path: /readyz, port: health }
  {{- toYaml .Values.probes.readiness | nindent 2 }}
{{- with .Values.resources }}
resources:
  {{- toYaml . | nindent 2 }}
{{- end }}
securityContext:
  {{- toYaml .Values.securityContext | nindent 2 }}
volumeMounts:
  {{- include "pith.volumeMounts" . | nindent 2 }}
  {{- if eq .Values.mode "fleet" }}
  {{- include "pith.liveMount" . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The kubelet's own sleep, because the image may have no shell. `lifecycle` may add to it, or replace it. */}}
{{- define "pith.lifecycle" -}}
{{- $own := dict -}}
{{- if gt (int .Values.preStopSeconds) 0 -}}
{{- $own = dict "preStop" (dict "sleep" (dict "seconds" (int .Values.preStopSeconds))) -}}
{{- end -}}
{{- if .Values.lifecycle.preStop }}{{ $own = dict }}{{ end -}}
{{- with mustMerge (deepCopy .Values.lifecycle) $own -}}
lifecycle:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/*
The gateway as a list item: for `initContainers` when sidecar.native, else for `containers`.
A native sidecar gets SIGTERM only after the other containers have ended, but its preStop runs as soon as the pod
is deleted: it starts the drain itself, so that players still have their backend.
*/}}
{{- define "pith.sidecar.container" -}}
{{- $container := include "pith.container" . | fromYaml -}}
{{- if .Values.sidecar.native -}}
{{- $signal := "process.kill(1)" -}}
{{- if gt (int .Values.preStopSeconds) 0 }}{{ $signal = printf "setTimeout(() => process.kill(1), %d)" (mul (int .Values.preStopSeconds) 1000) }}{{ end -}}
{{- $_ := set $container "restartPolicy" "Always" -}}
{{- $_ := set $container "lifecycle" (dict "preStop" (dict "exec" (dict "command" (list "node" "-e" $signal)))) -}}
{{- else -}}
{{- $_ := mustMergeOverwrite $container (include "pith.lifecycle" . | fromYaml) -}}
{{- end -}}
{{- toYaml (list $container) -}}
{{- end -}}

{{/* The minimum of the pod's terminationGracePeriodSeconds. */}}
{{- define "pith.sidecar.graceSeconds" -}}
{{- max (int .Values.terminationGracePeriodSeconds) (int (include "pith.neededGraceSeconds" .)) -}}
{{- end -}}

{{/*
What a container next to the gateway needs so that players keep their backend while the gateway drains: its preStop
asks the gateway's health port, which answers once the drain is over. The kubelet asks, so the image needs nothing.
*/}}
{{- define "pith.sidecar.stay" -}}
lifecycle:
  preStop:
    httpGet: { path: /drained, port: {{ include "pith.healthPort" . }} }
{{- end -}}

{{/* The environment of the gateway, with the label of its rollout where the chart's own pods are compared by it. */}}
{{- define "pith.env" -}}
{{- if eq (include "pith.labelsGeneration" .) "true" }}
- name: POD_TEMPLATE_HASH
  valueFrom: { fieldRef: { fieldPath: "metadata.labels['pod-template-hash']" } }
- name: PITH_GENERATION
  value: {{ printf "%s/$(POD_TEMPLATE_HASH)" (include "pith.fullname" .) | quote }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end -}}
