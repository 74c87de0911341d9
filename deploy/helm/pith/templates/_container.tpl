{{/* The gateway's container and what its pod needs. Other charts may include templates named pith.sidecar.… */}}

{{- define "pith.configMapName" -}}
{{ .Values.existingConfigMap | default (include "pith.fullname" .) }}
{{- end -}}

{{- define "pith.container" -}}
name: pith
image: {{ include "pith.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
ports:
  {{- range $index, $port := include "pith.clientPorts" . | fromJsonArray }}
  - name: {{ include "pith.clientPortName" $index }}
    containerPort: {{ $port }}
  {{- end }}
  - name: health
    containerPort: {{ include "pith.healthPort" . }}
{{- with .Values.env }}
env:
  {{- toYaml . | nindent 2 }}
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
  - name: pith-config
    mountPath: /etc/pith
    readOnly: true
  {{- if .Values.existingSecret }}
  - name: pith-secret
    mountPath: /etc/pith-secret
    readOnly: true
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end -}}

{{/* The kubelet's own sleep, because the image may have no shell. */}}
{{- define "pith.sleepBeforeStop" -}}
{{- if gt (int .Values.preStopSeconds) 0 -}}
lifecycle:
  preStop:
    sleep: { seconds: {{ .Values.preStopSeconds }} }
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
{{- $_ := mustMergeOverwrite $container (include "pith.sleepBeforeStop" . | fromYaml) -}}
{{- end -}}
{{- toYaml (list $container) -}}
{{- end -}}

{{/* The list items for the pod's `volumes`. */}}
{{- define "pith.sidecar.volumes" -}}
- name: pith-config
  configMap:
    name: {{ include "pith.configMapName" . }}
{{- if .Values.existingSecret }}
- name: pith-secret
  secret:
    secretName: {{ .Values.existingSecret }}
    # 0444: readable for the gateway's user, whoever owns the files.
    defaultMode: 292
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Annotations for the pod: a change of the configuration rolls it. */}}
{{- define "pith.sidecar.annotations" -}}
checksum/config: {{ .Values.config | toJson | sha256sum }}
{{- end -}}

{{/* The minimum of the pod's terminationGracePeriodSeconds. */}}
{{- define "pith.sidecar.graceSeconds" -}}
{{- max (int .Values.terminationGracePeriodSeconds) (int (include "pith.neededGraceSeconds" .)) -}}
{{- end -}}
