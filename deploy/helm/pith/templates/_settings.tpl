{{/*
The gateway's settings. `config` is a part of the pod template, as an annotation that is mounted as a file: a pod of
an old ReplicaSet, after an eviction or `kubectl rollout undo`, has its own settings and not the new ones.
*/}}

{{/* All annotations of a pod together may have 256 KiB; 16 are left for others. */}}
{{- define "pith.settingsMax" -}}245760{{- end -}}

{{/* pith.yaml as text. */}}
{{- define "pith.settings" -}}
{{ toYaml .Values.config }}
{{- end -}}

{{/*
Annotations for the pod: the settings, and stamps of the ConfigMap and Secret that others own, where the cluster can
be asked: a change of them then rolls the pods at the next helm upgrade.
*/}}
{{- define "pith.sidecar.annotations" -}}
{{- if .Values.existingConfigMap -}}
{{- with lookup "v1" "ConfigMap" .Release.Namespace .Values.existingConfigMap }}
checksum/existing-config: {{ dict "data" .data "binaryData" .binaryData | toJson | sha256sum | quote }}
{{- end }}
{{- else -}}
pith.yaml: {{ include "pith.settings" . | toJson }}
{{- end }}
{{- if .Values.existingSecret }}
{{- with lookup "v1" "Secret" .Release.Namespace .Values.existingSecret }}
checksum/existing-secret: {{ .data | toJson | sha256sum | quote }}
{{- end }}
{{- end }}
{{- end -}}

{{/* What may change while gateways run, as text: in a ConfigMap of its own, which is no part of the pod template. */}}
{{- define "pith.liveSettings" -}}
{{ toYaml .Values.live }}
{{- end -}}

{{/* The arguments of a fleet's gateway; a sidecar has the image's own. */}}
{{- define "pith.configArgs" -}}
[--config, /etc/pith/pith.yaml, --live, /etc/pith-live/live.yaml]
{{- end -}}

{{- define "pith.liveMount" -}}
- name: pith-live
  mountPath: /etc/pith-live
  readOnly: true
{{- end -}}

{{/* The list items for the pod's `volumes`. */}}
{{- define "pith.sidecar.volumes" -}}
- name: pith-config
  {{- if .Values.existingConfigMap }}
  configMap:
    name: {{ .Values.existingConfigMap | quote }}
  {{- else }}
  downwardAPI:
    items:
      - path: pith.yaml
        fieldRef: { fieldPath: "metadata.annotations['pith.yaml']" }
  {{- end }}
{{- if .Values.existingSecret }}
- name: pith-secret
  secret:
    secretName: {{ .Values.existingSecret | quote }}
    # 0444: readable for the gateway's user, whoever owns the files.
    defaultMode: 292
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* The gateway's `volumeMounts`. */}}
{{- define "pith.volumeMounts" -}}
- name: pith-config
  mountPath: /etc/pith
  readOnly: true
{{- if .Values.existingSecret }}
- name: pith-secret
  mountPath: /etc/pith-secret
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}
