{{/* Combinations that the schema cannot reject. Each message says what to do. */}}
{{- define "pith.checks" -}}
{{- $values := .Values -}}
{{- if and (eq (include "pith.busIsEmbedded" .) "true") (gt (int (include "pith.replicasMax" .)) 1) (not $values.allowEmbeddedBusWithReplicas) -}}
{{- fail (printf "up to %s replicas with the embedded bus cannot reach each other's players: set config.bus to nats://…, or replicaCount to 1, or allowEmbeddedBusWithReplicas to true if every push goes through the player's own gateway" (include "pith.replicasMax" .)) -}}
{{- end -}}
{{- $needed := int (include "pith.neededGraceSeconds" .) -}}
{{- if lt (int $values.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds is %d: it needs at least %d, for preStopSeconds (%d), the drain (config.drain.accept_for, config.drain.budget and 5 to release everything: %s)%s" (int $values.terminationGracePeriodSeconds) $needed (int $values.preStopSeconds) (include "pith.drainSeconds" .) (ternary (printf " and sidecar.stopSeconds (%d)" (int $values.sidecar.stopSeconds)) "" (eq $values.mode "sidecar"))) -}}
{{- end -}}
{{- range $key := list "control" "admin" -}}
{{- $address := dig $key "listen" "127.0.0.1:0" $values.config -}}
{{- if ne (include "pith.isLoopback" $address) "true" -}}
{{- fail (printf "config.%s.listen is %q: it must stay on loopback in a pod; reach it with kubectl port-forward" $key $address) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "pith.isLoopback" (dig "health" "listen" "0.0.0.0:7072" $values.config)) "true" -}}
{{- fail "config.health.listen is on loopback, where probes cannot reach it: write 0.0.0.0:7072" -}}
{{- end -}}
{{- if and (eq $values.mode "fleet") (or $values.sidecar.containers $values.sidecar.initContainers $values.sidecar.selector) -}}
{{- fail "sidecar.containers, sidecar.initContainers and sidecar.selector are for mode: sidecar" -}}
{{- end -}}
{{- if and (eq $values.mode "sidecar") $values.networkPolicy.enabled -}}
{{- fail "networkPolicy.enabled is for mode: fleet; in a sidecar's pod it would close your own container's ports" -}}
{{- end -}}
{{- if and (eq $values.mode "sidecar") $values.autoscaling.enabled (not $values.sidecar.containers) -}}
{{- fail "autoscaling.enabled needs sidecar.containers: without them your own chart creates the Deployment, and its autoscaler" -}}
{{- end -}}
{{- range $values.sidecar.containers -}}
{{- if eq .name "pith" -}}
{{- fail "sidecar.containers: the name pith is reserved for the gateway; choose another" -}}
{{- end -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (lt (int $values.autoscaling.maxReplicas) (int $values.autoscaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is less than autoscaling.minReplicas" -}}
{{- end -}}
{{- if and $values.metrics.podMonitor.enabled $values.metrics.serviceMonitor.enabled -}}
{{- fail "metrics.podMonitor and metrics.serviceMonitor would count everything twice: enable one" -}}
{{- end -}}
{{- if and $values.autoscaling.enabled (not (dig "requests" "cpu" "" $values.resources)) -}}
{{- range $values.autoscaling.metrics -}}
{{- if and (eq .type "Resource") (eq .resource.name "cpu") (eq .resource.target.type "Utilization") -}}
{{- fail "autoscaling by CPU utilization needs resources.requests.cpu" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
