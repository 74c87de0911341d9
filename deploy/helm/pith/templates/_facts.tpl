{{/* What the chart derives from the values and from pith.yaml. */}}

{{/* Whether this chart creates the pods, and not another chart that includes the sidecar's template. */}}
{{- define "pith.makesPods" -}}
{{- or (eq .Values.mode "fleet") (gt (len .Values.sidecar.containers) 0) -}}
{{- end -}}

{{/* A setting of pith.yaml: the environment beats `live`, which beats `config`. Context: dict "root" "path" "default"; the path as drain.budget. */}}
{{- define "pith.setting" -}}
{{- $value := .default -}}
{{- $at := mustMergeOverwrite (deepCopy .root.Values.config) .root.Values.live -}}
{{- $keys := splitList "." .path -}}
{{- range $index, $key := $keys -}}
{{- if kindIs "map" $at }}{{ $at = get $at $key }}{{ else }}{{ $at = "" }}{{ end -}}
{{- if and (eq (add1 $index) (len $keys)) (not (kindIs "invalid" $at)) (ne (toString $at) "") }}{{ $value = $at }}{{ end -}}
{{- end -}}
{{- $name := printf "PITH_%s" (.path | upper | replace "." "__") -}}
{{- range .root.Values.env -}}
{{- if eq (upper .name) $name }}{{ $value = .value | default (printf "${env:%s}" .name) }}{{ end -}}
{{- end -}}
{{- $value -}}
{{- end -}}

{{/* A duration as pith.yaml has it, in seconds, rounded up. Context: dict "key" "text". */}}
{{- define "pith.seconds" -}}
{{- $text := toString .text -}}
{{- if not (regexMatch "^[0-9]{1,9}(ms|s|m|h)$" $text) -}}
{{- fail (printf "config.%s is %q: the chart compares it with terminationGracePeriodSeconds, so it must be a duration such as 25s, 1m or 500ms" .key $text) -}}
{{- end -}}
{{- $amount := regexFind "^[0-9]+" $text | int64 -}}
{{- $unit := regexFind "[a-z]+$" $text -}}
{{- $ms := mul $amount (get (dict "ms" 1 "s" 1000 "m" 60000 "h" 3600000) $unit) -}}
{{- div (add $ms 999) 1000 -}}
{{- end -}}

{{/* From the signal to the end: accept_for, budget, and 5 to release backends, bus and control. */}}
{{- define "pith.drainSeconds" -}}
{{- $accept := include "pith.seconds" (dict "key" "drain.accept_for" "text" (include "pith.setting" (dict "root" . "path" "drain.accept_for" "default" "0s"))) -}}
{{- $budget := include "pith.seconds" (dict "key" "drain.budget" "text" (include "pith.setting" (dict "root" . "path" "drain.budget" "default" "25s"))) -}}
{{- add (int $accept) (int $budget) 5 -}}
{{- end -}}

{{/* How long the containers next to a gateway have to stay, so that players keep their backend while it drains. */}}
{{- define "pith.sidecar.holdSeconds" -}}
{{- add (int .Values.preStopSeconds) (int (include "pith.drainSeconds" .)) -}}
{{- end -}}

{{/* The minimum of terminationGracePeriodSeconds. */}}
{{- define "pith.neededGraceSeconds" -}}
{{- $needed := int (include "pith.sidecar.holdSeconds" .) -}}
{{- if eq .Values.mode "sidecar" }}{{ $needed = add $needed (int .Values.sidecar.stopSeconds) }}{{ end -}}
{{- $needed -}}
{{- end -}}

{{/* The maximum number of replicas; 0: another chart decides. */}}
{{- define "pith.replicasMax" -}}
{{- if ne (include "pith.makesPods" .) "true" -}}
0
{{- else if .Values.autoscaling.enabled -}}
{{ .Values.autoscaling.maxReplicas }}
{{- else -}}
{{ .Values.replicaCount }}
{{- end -}}
{{- end -}}

{{/* The minimum number of replicas. */}}
{{- define "pith.replicasMin" -}}
{{- if .Values.autoscaling.enabled }}{{ .Values.autoscaling.minReplicas }}{{ else }}{{ .Values.replicaCount }}{{ end -}}
{{- end -}}

{{/*
spec.replicas. With autoscaling it belongs to the autoscaler: what the cluster has now is repeated, because a field
that leaves the manifest falls back to the server's default, 1. Empty where nothing is known, as in `helm template`.
*/}}
{{- define "pith.replicas" -}}
{{- if not .Values.autoscaling.enabled -}}
{{ .Values.replicaCount }}
{{- else -}}
{{- with include "pith.liveReplicas" . -}}
{{- min (int $.Values.autoscaling.maxReplicas) (max (int .) (int $.Values.autoscaling.minReplicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* How many replicas the Deployment in the cluster asks for; empty: none is there, or the cluster cannot be asked. */}}
{{- define "pith.liveReplicas" -}}
{{- dig "spec" "replicas" "" (lookup "apps/v1" "Deployment" .Release.Namespace (include "pith.fullname" .) | default dict) -}}
{{- end -}}

{{/* Whether gateways cannot reach each other. The chart cannot read a ConfigMap of the user's own. */}}
{{- define "pith.busIsEmbedded" -}}
{{- $default := ternary "" "embedded" (ne .Values.existingConfigMap "") -}}
{{- eq (include "pith.setting" (dict "root" . "path" "bus" "default" $default)) "embedded" -}}
{{- end -}}

{{/* The port of host:port or url://host:port. Context: dict "key" "text". */}}
{{- define "pith.port" -}}
{{- $port := regexFind "[0-9]{1,5}$" (trimSuffix "/" .text) -}}
{{- if or (not $port) (eq (int $port) 0) -}}
{{- fail (printf "config.%s is %q: it must end in a port number other than 0, because the pod's ports and probes are derived from it" .key .text) -}}
{{- end -}}
{{- $port -}}
{{- end -}}

{{- define "pith.healthPort" -}}
{{- include "pith.port" (dict "key" "health.listen" "text" (include "pith.setting" (dict "root" . "path" "health.listen" "default" "0.0.0.0:7072"))) -}}
{{- end -}}

{{/* The listeners' URLs in order, as a JSON list. */}}
{{- define "pith.clientUrls" -}}
{{- $urls := list -}}
{{- range $index, $listener := (dig "listen" list .Values.config | default (list dict)) -}}
{{- $url := dig "url" "auto://0.0.0.0:3010" $listener -}}
{{- range $.Values.env -}}
{{- if eq (upper .name) (printf "PITH_LISTEN__%d__URL" $index) }}{{ $url = .value | default "" }}{{ end -}}
{{- end -}}
{{- $urls = append $urls $url -}}
{{- end -}}
{{- toJson $urls -}}
{{- end -}}

{{/* Their ports in order, as a JSON list of numbers. */}}
{{- define "pith.clientPorts" -}}
{{- $ports := list -}}
{{- range $index, $url := include "pith.clientUrls" . | fromJsonArray -}}
{{- $ports = append $ports (include "pith.port" (dict "key" (printf "listen[%d].url" $index) "text" $url) | int) -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}

{{/* The Service's ports, as a JSON list of maps: name, port, targetPort, nodePort, appProtocol. */}}
{{- define "pith.servicePorts" -}}
{{- $service := .Values.service -}}
{{- $ports := list -}}
{{- range $index, $target := include "pith.clientPorts" . | fromJsonArray -}}
{{- $own := dict -}}
{{- if lt $index (len $service.ports) }}{{ $own = index $service.ports $index }}{{ end -}}
{{- $port := dict "name" ($own.name | default (include "pith.clientPortName" $index)) "targetPort" $target "port" ($own.port | default $target) -}}
{{- $ports = append $ports (mustMerge $port (dict "nodePort" ($own.nodePort | default 0) "appProtocol" ($own.appProtocol | default ""))) -}}
{{- end -}}
{{- toJson $ports -}}
{{- end -}}

{{/* client, client-2, client-3 … Context: the index. */}}
{{- define "pith.clientPortName" -}}
{{- if eq . 0 }}client{{ else }}client-{{ add1 . }}{{ end -}}
{{- end -}}

{{/* True where only the pod itself can connect. Context: an address. */}}
{{- define "pith.isLoopback" -}}
{{- regexMatch "^(unix:|127\\.|localhost:|\\[::1\\]:)" . -}}
{{- end -}}

{{/* Gateways are not ready while newer ones are there; what comes from the environment may be so. */}}
{{- define "pith.comparesGenerations" -}}
{{- ne (include "pith.setting" (dict "root" . "path" "drain.generations" "default" "false")) "false" -}}
{{- end -}}

{{/* The chart gives each rollout its label: the pods are its own, and the settings name none. */}}
{{- define "pith.labelsGeneration" -}}
{{- $named := include "pith.setting" (dict "root" . "path" "generation" "default" "") -}}
{{- and (eq (include "pith.comparesGenerations" .) "true") (eq $named "") (eq (include "pith.makesPods" .) "true") -}}
{{- end -}}
