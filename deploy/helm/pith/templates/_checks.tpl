{{/* Combinations that the schema cannot reject. Each message says what to do. */}}
{{- define "pith.checks" -}}
{{- include "pith.checks.replicas" . -}}
{{- include "pith.checks.stopping" . -}}
{{- include "pith.checks.ports" . -}}
{{- include "pith.checks.service" . -}}
{{- include "pith.checks.names" . -}}
{{- include "pith.checks.sidecar" . -}}
{{- include "pith.checks.monitors" . -}}
{{- include "pith.checks.settings" . -}}
{{- end -}}

{{- define "pith.checks.replicas" -}}
{{- $values := .Values -}}
{{- $scaling := $values.autoscaling -}}
{{- if and (eq (include "pith.busIsEmbedded" .) "true") (gt (int (include "pith.replicasMax" .)) 1) (not $values.allowEmbeddedBusWithReplicas) -}}
{{- fail (printf "up to %s replicas with the embedded bus cannot reach each other's players: set config.bus to nats://…, or replicaCount to 1, or allowEmbeddedBusWithReplicas to true if every push goes through the player's own gateway" (include "pith.replicasMax" .)) -}}
{{- end -}}
{{- if and $scaling.enabled (lt (int $scaling.maxReplicas) (int $scaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is less than autoscaling.minReplicas" -}}
{{- end -}}
{{- if and (eq $values.mode "sidecar") $scaling.enabled (not $values.sidecar.containers) -}}
{{- fail "autoscaling.enabled needs sidecar.containers: without them your own chart creates the Deployment, and its autoscaler" -}}
{{- end -}}
{{- if and $scaling.enabled (not (dig "requests" "cpu" "" $values.resources)) -}}
{{- range $scaling.metrics -}}
{{- if and (eq .type "Resource") (eq (dig "resource" "name" "" .) "cpu") (eq (dig "resource" "target" "type" "" .) "Utilization") -}}
{{- fail "autoscaling by CPU utilization needs resources.requests.cpu" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $scaling.enabled -}}
{{- if lookup "autoscaling/v2" "HorizontalPodAutoscaler" .Release.Namespace (include "pith.fullname" .) -}}
{{- $live := int (include "pith.liveReplicas" .) -}}
{{- if gt $live (int $values.replicaCount) -}}
{{- fail (printf "turning autoscaling off with replicaCount %d would stop %d of %d gateways at once: set replicaCount to %d, and lower it step by step afterwards" (int $values.replicaCount) (sub $live (int $values.replicaCount)) $live $live) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $update := $values.strategy.rollingUpdate | default dict -}}
{{- if and (eq $values.strategy.type "RollingUpdate") (eq (include "pith.isNone" $update.maxSurge) "true") (eq (include "pith.isNone" $update.maxUnavailable) "true") -}}
{{- fail "strategy.rollingUpdate: maxSurge and maxUnavailable are both 0, so no pod could ever be replaced: set one of them to 1" -}}
{{- end -}}
{{- if ge (int $values.minReadySeconds) (int $values.progressDeadlineSeconds) -}}
{{- fail (printf "minReadySeconds is %d: it must be less than progressDeadlineSeconds (%d)" (int $values.minReadySeconds) (int $values.progressDeadlineSeconds)) -}}
{{- end -}}
{{- include "pith.checks.budget" . -}}
{{- end -}}

{{/* 0 or 0%. A missing one has the server's default, 25%. */}}
{{- define "pith.isNone" -}}
{{- has (toString .) (list "0" "0%") -}}
{{- end -}}

{{- define "pith.checks.budget" -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- $min := int (include "pith.replicasMin" .) -}}
{{- if and $budget.enabled (gt $min 1) -}}
{{- if kindIs "invalid" $budget.minAvailable -}}
{{- if eq (include "pith.isNone" $budget.maxUnavailable) "true" -}}
{{- fail "podDisruptionBudget.maxUnavailable is 0: no node with a gateway could ever be drained; set it to 1" -}}
{{- end -}}
{{- else if or (eq (toString $budget.minAvailable) "100%") (and (not (kindIs "string" $budget.minAvailable)) (ge (int $budget.minAvailable) $min)) -}}
{{- fail (printf "podDisruptionBudget.minAvailable is %s of at least %d replicas: no node with a gateway could ever be drained; set it to %d" (toString $budget.minAvailable) $min (sub $min 1)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pith.checks.stopping" -}}
{{- $values := .Values -}}
{{- $needed := int (include "pith.neededGraceSeconds" .) -}}
{{- if lt (int $values.terminationGracePeriodSeconds) $needed -}}
{{- fail (printf "terminationGracePeriodSeconds is %d: it needs at least %d, for preStopSeconds (%d), the drain (drain.accept_for, drain.budget and 5 to release everything: %s)%s" (int $values.terminationGracePeriodSeconds) $needed (int $values.preStopSeconds) (include "pith.drainSeconds" .) (ternary (printf " and sidecar.stopSeconds (%d)" (int $values.sidecar.stopSeconds)) "" (eq $values.mode "sidecar"))) -}}
{{- end -}}
{{- end -}}

{{- define "pith.checks.ports" -}}
{{- range $key, $default := dict "control" "127.0.0.1:7070" "admin" "127.0.0.1:7071" -}}
{{- $address := include "pith.setting" (dict "root" $ "path" (printf "%s.listen" $key) "default" $default) -}}
{{- $port := get $.Values.config $key | default dict -}}
{{- $token := include "pith.setting" (dict "root" $ "path" (printf "%s.token" $key) "default" "") -}}
{{- $guarded := or $token $port.tokens $port.spiffe (dig "tls" "require_client_cert" false $port) -}}
{{- if and (ne (include "pith.isLoopback" $address) "true") (not $guarded) -}}
{{- fail (printf "config.%s.listen is %q: beyond loopback it needs config.%s.token, as ${file:/etc/pith-secret/token} from existingSecret, or client certificates; else keep it on loopback, and reach it with kubectl port-forward" $key $address $key) -}}
{{- end -}}
{{- end -}}
{{- if eq (include "pith.isLoopback" (include "pith.setting" (dict "root" . "path" "health.listen" "default" "0.0.0.0:7072"))) "true" -}}
{{- fail "config.health.listen is on loopback, where probes cannot reach it: write 0.0.0.0:7072" -}}
{{- end -}}
{{- $taken := dict -}}
{{- range $port, $owner := include "pith.podPorts" . | fromYaml -}}
{{- range $other := rest (splitList "," $owner) -}}
{{- fail (printf "%s and %s have the same port, %s, and a pod's containers share their ports: change one" (first (splitList "," $owner)) $other $port) -}}
{{- end -}}
{{- end -}}
{{- $lowest := 1024 -}}
{{- range (ternary .Values.podSecurityContext .Values.sidecar.podSecurityContext (eq .Values.mode "fleet")).sysctls -}}
{{- if eq .name "net.ipv4.ip_unprivileged_port_start" }}{{ $lowest = int .value }}{{ end -}}
{{- end -}}
{{- range $index, $port := append (include "pith.clientPorts" . | fromJsonArray) (include "pith.healthPort" . | int) -}}
{{- if and (lt (int $port) $lowest) (ne (int (dig "runAsUser" 65532 $.Values.securityContext)) 0) -}}
{{- fail (printf "port %d is below %d, which the gateway's user may not open: let it listen on another, and set service.ports[%d].port to %d; or allow it by podSecurityContext.sysctls: [{ name: net.ipv4.ip_unprivileged_port_start, value: %q }]" (int $port) $lowest $index (int $port) (toString $port)) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Who listens on which port in the pod, as YAML: port: "who,who". */}}
{{- define "pith.podPorts" -}}
{{- $owners := dict -}}
{{- range $index, $port := include "pith.clientPorts" . | fromJsonArray -}}
{{- $_ := include "pith.addOwner" (dict "owners" $owners "port" $port "owner" (printf "config.listen[%d]" $index)) -}}
{{- end -}}
{{- $_ := include "pith.addOwner" (dict "owners" $owners "port" (include "pith.healthPort" .) "owner" "config.health.listen") -}}
{{- range $key, $default := dict "control" "127.0.0.1:7070" "admin" "127.0.0.1:7071" -}}
{{- $port := regexFind "[0-9]{1,5}$" (include "pith.setting" (dict "root" $ "path" (printf "%s.listen" $key) "default" $default)) -}}
{{- if $port }}{{ $_ := include "pith.addOwner" (dict "owners" $owners "port" $port "owner" (printf "config.%s.listen" $key)) }}{{ end -}}
{{- end -}}
{{- range concat .Values.sidecar.containers .Values.extraContainers -}}
{{- $container := . -}}
{{- range .ports -}}
{{- if ne (.protocol | default "TCP") "UDP" -}}
{{- $_ := include "pith.addOwner" (dict "owners" $owners "port" .containerPort "owner" (printf "a port of the container %s" $container.name)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $owners -}}
{{- end -}}

{{- define "pith.addOwner" -}}
{{- $port := toString .port -}}
{{- $_ := set .owners $port (ternary (printf "%s,%s" (get .owners $port) .owner) .owner (hasKey .owners $port)) -}}
{{- end -}}

{{- define "pith.checks.service" -}}
{{- $service := .Values.service -}}
{{- $type := $service.type -}}
{{- $ports := include "pith.servicePorts" . | fromJsonArray -}}
{{- if gt (len $service.ports) (len $ports) -}}
{{- fail (printf "service.ports has %d entries, and config.listen has %d: one entry for each listener, in their order" (len $service.ports) (len $ports)) -}}
{{- end -}}
{{- $seen := dict -}}
{{- $names := dict -}}
{{- range $index, $port := $ports -}}
{{- if hasKey $seen (toString $port.port) -}}
{{- fail (printf "two listeners would have the Service's port %d: give one of them another in service.ports" (int $port.port)) -}}
{{- end -}}
{{- $_ := set $seen (toString $port.port) true -}}
{{- if hasKey $names $port.name -}}
{{- fail (printf "two of the Service's ports would be called %s: give one of them another name in service.ports" $port.name) -}}
{{- end -}}
{{- $_ := set $names $port.name true -}}
{{- if and $port.nodePort (eq $type "ClusterIP") -}}
{{- fail (printf "service.ports[%d].nodePort needs service.type NodePort or LoadBalancer" $index) -}}
{{- end -}}
{{- end -}}
{{- if and $service.externalTrafficPolicy (eq $type "ClusterIP") (not $service.externalIPs) -}}
{{- fail "service.externalTrafficPolicy needs service.type NodePort or LoadBalancer: a ClusterIP has no outside" -}}
{{- end -}}
{{- range $key := list "loadBalancerClass" "loadBalancerSourceRanges" -}}
{{- if and (get $service $key) (ne $type "LoadBalancer") -}}
{{- fail (printf "service.%s needs service.type LoadBalancer" $key) -}}
{{- end -}}
{{- end -}}
{{- if and $service.sessionAffinityConfig (ne $service.sessionAffinity "ClientIP") -}}
{{- fail "service.sessionAffinityConfig needs service.sessionAffinity: ClientIP" -}}
{{- end -}}
{{- range $key := list "ingress" "httpRoute" "tcpRoute" -}}
{{- $front := get $.Values $key -}}
{{- if $front.enabled -}}
{{- if not (and $service.enabled (include "pith.podSelector" $)) -}}
{{- fail (printf "%s.enabled needs the Service: set service.enabled to true%s" $key (ternary " and sidecar.selector to the labels of your pods" "" (eq $.Values.mode "sidecar"))) -}}
{{- end -}}
{{- if ge (int $front.listener) (len $ports) -}}
{{- fail (printf "%s.listener is %d: config.listen has %d, counted from 0" $key (int $front.listener) (len $ports)) -}}
{{- end -}}
{{- $scheme := regexFind "^[a-z]+" (index (include "pith.clientUrls" $ | fromJsonArray) (int $front.listener)) -}}
{{- if and (has $scheme (list "tcp" "tls")) (ne $key "tcpRoute") -}}
{{- fail (printf "%s is for WebSockets, and config.listen[%d] is %s: choose another listener, or use tcpRoute or a LoadBalancer" $key (int $front.listener) $scheme) -}}
{{- end -}}
{{- if and (ne $key "ingress") (not $front.parentRefs) -}}
{{- fail (printf "%s.parentRefs is empty: name the Gateway, as [{ name: public }]" $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pith.checks.names" -}}
{{- $values := .Values -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" (include "pith.fullname" .)) -}}
{{- fail (printf "the objects would be called %q: a Service's name has only a-z, 0-9 and -, and begins with a letter; change fullnameOverride or nameOverride" (include "pith.fullname" .)) -}}
{{- end -}}
{{- range $where, $labels := dict "commonLabels" $values.commonLabels "podLabels" $values.podLabels -}}
{{- range $label := list "app.kubernetes.io/name" "app.kubernetes.io/instance" -}}
{{- if hasKey $labels $label -}}
{{- fail (printf "%s contains %s, by which the pods are found: leave it out, or set nameOverride" $where $label) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- range $label := list "app.kubernetes.io/version" "app.kubernetes.io/managed-by" "helm.sh/chart" -}}
{{- if hasKey $values.commonLabels $label -}}
{{- fail (printf "commonLabels contains %s, which the chart sets itself: leave it out" $label) -}}
{{- end -}}
{{- end -}}
{{- range $values.extraVolumes -}}
{{- if has .name (list "pith-config" "pith-secret") -}}
{{- fail (printf "extraVolumes: the name %s is the chart's own; choose another" .name) -}}
{{- end -}}
{{- end -}}
{{- $volumes := list "pith-config" "pith-secret" -}}
{{- range $values.extraVolumes }}{{ $volumes = append $volumes .name }}{{ end -}}
{{- if eq (include "pith.makesPods" .) "true" -}}
{{- range $values.extraVolumeMounts -}}
{{- if not (has .name $volumes) -}}
{{- fail (printf "extraVolumeMounts mounts %q, which is not among extraVolumes" .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $names := list -}}
{{- range $values.env -}}
{{- if has .name $names -}}
{{- fail (printf "env has %s twice: leave one out" .name) -}}
{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- range $kind, $_ := $values.patches -}}
{{- if not (has $kind (list "Deployment" "Service" "ServiceAccount" "PodDisruptionBudget" "HorizontalPodAutoscaler" "NetworkPolicy" "PodMonitor" "ServiceMonitor" "Ingress" "HTTPRoute" "TCPRoute" "Job" "Pod")) -}}
{{- fail (printf "patches.%s: the chart makes no object of this kind; use extraObjects" $kind) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pith.checks.sidecar" -}}
{{- $values := .Values -}}
{{- if and (eq $values.mode "fleet") (or $values.sidecar.containers $values.sidecar.initContainers $values.sidecar.selector) -}}
{{- fail "sidecar.containers, sidecar.initContainers and sidecar.selector are for mode: sidecar" -}}
{{- end -}}
{{- if and (eq $values.mode "sidecar") (or $values.extraContainers $values.initContainers) -}}
{{- fail "extraContainers and initContainers are for mode: fleet; a sidecar has sidecar.containers and sidecar.initContainers" -}}
{{- end -}}
{{- if and (eq $values.mode "sidecar") $values.sidecar.native $values.lifecycle.preStop -}}
{{- fail "lifecycle.preStop would replace the hook that starts a native sidecar's drain: set sidecar.native to false, or leave it out" -}}
{{- end -}}
{{- if and (eq $values.mode "sidecar") $values.networkPolicy.enabled -}}
{{- fail "networkPolicy.enabled is for mode: fleet; in a sidecar's pod it would close your own container's ports" -}}
{{- end -}}
{{- range concat $values.sidecar.containers $values.sidecar.initContainers $values.extraContainers $values.initContainers -}}
{{- if eq .name "pith" -}}
{{- fail "the container's name pith is reserved for the gateway; choose another" -}}
{{- end -}}
{{- $container := . -}}
{{- range .ports -}}
{{- if or (eq (.name | default "") "health") (regexMatch "^client(-[0-9]+)?$" (.name | default "")) -}}
{{- fail (printf "the container %s has a port named %s, as the gateway has: choose another name" $container.name .name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "pith.checks.monitors" -}}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled -}}
{{- fail "metrics.podMonitor and metrics.serviceMonitor would count everything twice: enable one" -}}
{{- end -}}
{{- end -}}

{{- define "pith.checks.settings" -}}
{{- $bytes := len (include "pith.settings" .) -}}
{{- if and (not .Values.existingConfigMap) (gt $bytes (int (include "pith.settingsMax" .))) -}}
{{- fail (printf "config has %d bytes, and a pod's annotations may have %s: use existingConfigMap" $bytes (include "pith.settingsMax" .)) -}}
{{- end -}}
{{- if and .Values.live (ne .Values.mode "fleet") -}}
{{- fail "live is for mode: fleet; a sidecar's settings belong in config" -}}
{{- end -}}
{{- $both := add $bytes (len (include "pith.liveSettings" .)) -}}
{{- if and .Values.check.enabled (gt $both (int64 (include "pith.settingsMax" .))) -}}
{{- fail (printf "config and live have %d bytes together, and the annotations of the pod that checks them may have %s: make them smaller, or set check.enabled to false" $both (include "pith.settingsMax" .)) -}}
{{- end -}}
{{- end -}}
