{{/* What everybody asks of all pods, in one place. */}}

{{/* The pod settings of one process as YAML: `pod`, then each of `overrides` over it. Argument: root, overrides (list). */}}
{{- define "arxiv-operator.podSettings" -}}
{{- $settings := deepCopy .root.Values.pod }}
{{- range .overrides }}
{{- $settings = mergeOverwrite $settings (deepCopy (. | default dict)) }}
{{- end }}
{{- toYaml $settings }}
{{- end }}

{{/* The items of these lists, of which the last one with the same key counts: a second one would be refused. Argument: key, lists. */}}
{{- define "arxiv-operator.byKey" -}}
{{- $key := .key }}
{{- $items := list }}
{{- range .lists }}
{{- range $item := . | default list }}
{{- $others := list }}
{{- range $items }}{{ if ne (get . $key) (get $item $key) }}{{ $others = append $others . }}{{ end }}{{ end }}
{{- $items = append $others $item }}
{{- end }}
{{- end }}
{{- toYaml $items }}
{{- end }}

{{/* A reference to an image. Argument: root, image (repository, tag, digest), version (what an empty tag means). */}}
{{- define "arxiv-operator.image" -}}
{{- $registry := (.root.Values.global).imageRegistry | default .root.Values.image.registry }}
{{- $name := .image.repository }}
{{- with $registry }}{{ $name = printf "%s/%s" (trimSuffix "/" .) $name }}{{ end }}
{{- if .image.digest }}
{{- printf "%s@%s" $name .image.digest }}
{{- else }}
{{- printf "%s:%s" $name (.image.tag | default .root.Chart.AppVersion) }}
{{- end }}
{{- end }}

{{/*
A pod template. Argument:
  root, component, group (optional), settings (a dict, from podSettings), account, token (whether the pod talks to Kubernetes), image,
  container (its name), args and command (optional lists), env (a list), port and metricsPort (optional), probes (their times, optional), scheme (theirs, optional), preStopSeconds (optional),
  grace (seconds, optional), resources, restartPolicy (optional), volumes and mounts (lists, optional).
*/}}
{{- define "arxiv-operator.podTemplate" -}}
{{- $settings := .settings }}
{{- $selector := include "arxiv-operator.selectorLabels" . | fromYaml }}
{{- /* Processes that go on follow a change of the log level, and send traces. */}}
{{- $log := dict "env" list "mounts" list "volumes" list }}
{{- if .probes }}
{{- $_ := set $log "env" (list (dict "name" "LOG_LEVEL_FILE" "value" "/etc/arxiv-operator/log/level")) }}
{{- with .root.Values.tracing }}{{ if .endpoint }}
{{- $_ := set $log "env" (concat $log.env (include "arxiv-operator.env" (dict
      "OTEL_EXPORTER_OTLP_ENDPOINT" .endpoint "OTEL_TRACES_SAMPLER" .sampler "OTEL_TRACES_SAMPLER_ARG" (toString .samplerArgument)) | fromYamlArray)) }}
{{- end }}{{ end }}
{{- $_ := set $log "mounts" (list (dict "name" "log-level" "mountPath" "/etc/arxiv-operator/log" "readOnly" true)) }}
{{- $_ := set $log "volumes" (list (dict "name" "log-level" "configMap" (dict "name" (printf "%s-log" (include "arxiv-operator.fullname" .root)) "optional" true))) }}
{{- end }}
metadata:
  labels:
    {{- merge (dict) $selector $settings.labels (include "arxiv-operator.labels" . | fromYaml) | toYaml | nindent 4 }}
  {{- with merge (dict) $settings.annotations .root.Values.commonAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ .account | quote }}
  automountServiceAccountToken: {{ .token }}
  enableServiceLinks: false
  {{- with .restartPolicy }}
  restartPolicy: {{ . }}
  {{- end }}
  {{- with .grace }}
  terminationGracePeriodSeconds: {{ . }}
  {{- end }}
  {{- $pullSecrets := list }}
  {{- range concat $settings.imagePullSecrets ((.root.Values.global).imagePullSecrets | default list) }}
  {{- $pullSecrets = append $pullSecrets (dict "name" (kindIs "map" . | ternary (get (kindIs "map" . | ternary . dict) "name") . | toString)) }}
  {{- end }}
  {{- with $pullSecrets | uniq }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- toYaml $settings.securityContext | nindent 4 }}
  containers:
    - name: {{ .container }}
      image: {{ .image }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      {{- with .command }}
      command:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .args }}
      args:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with include "arxiv-operator.byKey" (dict "key" "name" "lists" (list .env $log.env $settings.extraEnv)) | fromYamlArray }}
      env:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with .port }}
      ports:
        - {name: http, containerPort: {{ . }}, protocol: TCP}
        {{- with $.metricsPort }}
        - {name: metrics, containerPort: {{ . }}, protocol: TCP}
        {{- end }}
      {{- end }}
      {{- if .probes }}
      {{- $scheme := $.scheme | empty | ternary dict (dict "scheme" $.scheme) }}
      livenessProbe:
        {{- merge (dict "httpGet" (merge (dict "path" "/healthz" "port" "http") $scheme)) .probes.liveness | toYaml | nindent 8 }}
      readinessProbe:
        {{- merge (dict "httpGet" (merge (dict "path" "/readyz" "port" "http") $scheme)) .probes.readiness | toYaml | nindent 8 }}
      {{- with .probes.startup }}
      startupProbe:
        {{- merge (dict "httpGet" (merge (dict "path" "/healthz" "port" "http") $scheme)) . | toYaml | nindent 8 }}
      {{- end }}
      {{- end }}
      {{- with .preStopSeconds }}
      lifecycle:
        preStop:
          sleep: {seconds: {{ . }}}
      {{- end }}
      securityContext:
        {{- toYaml $settings.containerSecurityContext | nindent 8 }}
      resources:
        {{- toYaml .resources | nindent 8 }}
      {{- with include "arxiv-operator.byKey" (dict "key" "mountPath" "lists" (list .mounts $log.mounts $settings.extraVolumeMounts)) | fromYamlArray }}
      volumeMounts:
        {{- toYaml . | nindent 8 }}
      {{- end }}
  {{- with include "arxiv-operator.byKey" (dict "key" "name" "lists" (list .volumes $log.volumes $settings.extraVolumes)) | fromYamlArray }}
  volumes:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- range $key := list "nodeSelector" "tolerations" "affinity" "dnsConfig" "hostAliases" "priorityClassName" "runtimeClassName" "schedulerName" }}
  {{- with get $settings $key }}
  {{ $key }}: {{ toJson . }}
  {{- end }}
  {{- end }}
  {{- with $settings.topologySpreadConstraints }}
  topologySpreadConstraints:
    {{- range . }}
    - {{ merge (dict) . (dict "labelSelector" (dict "matchLabels" $selector)) | toYaml | nindent 6 | trim }}
    {{- end }}
  {{- end }}
{{- end }}
