{{/* What the chart derives from the values and from pith.yaml. */}}

{{/* Whether this chart creates the pods, and not another chart that includes the sidecar's template. */}}
{{- define "pith.makesPods" -}}
{{- or (eq .Values.mode "fleet") (gt (len .Values.sidecar.containers) 0) -}}
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
{{- $accept := include "pith.seconds" (dict "key" "drain.accept_for" "text" (dig "drain" "accept_for" "0s" .Values.config)) -}}
{{- $budget := include "pith.seconds" (dict "key" "drain.budget" "text" (dig "drain" "budget" "25s" .Values.config)) -}}
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

{{/* Whether gateways cannot reach each other. The chart cannot read a ConfigMap of the user's own. */}}
{{- define "pith.busIsEmbedded" -}}
{{- $bus := dig "bus" (ternary "" "embedded" (ne .Values.existingConfigMap "")) .Values.config -}}
{{- range .Values.env }}{{ if eq .name "PITH_BUS" }}{{ $bus = .value | default "from elsewhere" }}{{ end }}{{ end -}}
{{- eq $bus "embedded" -}}
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
{{- include "pith.port" (dict "key" "health.listen" "text" (dig "health" "listen" "0.0.0.0:7072" .Values.config)) -}}
{{- end -}}

{{/* The listeners' ports in order, as a JSON list of numbers. */}}
{{- define "pith.clientPorts" -}}
{{- $ports := list -}}
{{- range $index, $listener := (dig "listen" list .Values.config | default (list dict)) -}}
{{- $url := dig "url" "auto://0.0.0.0:3010" $listener -}}
{{- $ports = append $ports (include "pith.port" (dict "key" (printf "listen[%d].url" $index) "text" $url) | int) -}}
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
