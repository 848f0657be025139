{{/* Names. Each is cut so that the longest suffix ("-migrate-VERSION-HASH") still fits into 63 characters. */}}

{{- define "arxiv-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 37 | trimAll "-_." }}
{{- end }}

{{- /* A name that had to be changed, or that another release could have as well, ends with a hash of the release's name. */}}
{{- define "arxiv-operator.fullname" -}}
{{- $name := include "arxiv-operator.name" . }}
{{- $wanted := .Values.fullnameOverride | default (contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name)) }}
{{- /* Names of Services: neither dots nor underscores, and a letter first. */}}
{{- $valid := $wanted | lower | replace "." "-" | replace "_" "-" | trimAll "-" }}
{{- if regexMatch "^[0-9]" $valid }}{{ $valid = printf "r%s" $valid }}{{ end }}
{{- $ambiguous := and (not .Values.fullnameOverride) (hasSuffix (printf "-%s" $name) .Release.Name) }}
{{- if or $ambiguous (ne $valid $wanted) (gt (len $valid) 37) }}
{{- printf "%s-%s" ($valid | trunc 28 | trimSuffix "-") (sha256sum (printf "%s %s" .Release.Name $wanted) | trunc 8) }}
{{- else }}
{{- $valid }}
{{- end }}
{{- end }}

{{/* Cluster-wide names tell their namespace: two releases of one name may be in two namespaces. A namespace has no dots. */}}
{{- define "arxiv-operator.clusterName" -}}
{{- printf "%s.%s" .Release.Namespace (include "arxiv-operator.fullname" .) }}
{{- end }}

{{/* Where the Lease is: in the watched namespace if it is one, else in the release's. The operator's default is the same. */}}
{{- define "arxiv-operator.leaseNamespace" -}}
{{- $watched := .Values.operator.watchNamespaces | uniq }}
{{- eq (len $watched) 1 | ternary (first $watched) .Release.Namespace }}
{{- end }}

{{/* Where GET /arxiv makes its objects: in the release's namespace if it is watched, else in the first watched one. */}}
{{- define "arxiv-operator.queryNamespace" -}}
{{- $watched := .Values.operator.watchNamespaces }}
{{- $default := or (empty $watched) (has .Release.Namespace $watched) | ternary .Release.Namespace (first $watched) }}
{{- $namespace := .Values.apiServer.queryNamespace | default $default }}
{{- if and $watched (not (has $namespace $watched)) }}
{{- fail (printf "apiServer.queryNamespace is %s, but the operator watches %s alone (operator.watchNamespaces)" $namespace (join ", " $watched)) }}
{{- end }}
{{- $namespace }}
{{- end }}

{{/* The IP families of a Service's spec. */}}
{{- define "arxiv-operator.ipFamilies" -}}
{{- with .Values.service.ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .Values.service.ipFamilies }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}

{{/* The Secret with the key of the labels by which objects name their clients. */}}
{{- define "arxiv-operator.clientKeySecret" -}}
{{- .Values.apiServer.clients.keySecret | default (printf "%s-client-key" (include "arxiv-operator.fullname" .)) }}
{{- end }}

{{/* The name of a ServiceAccount. Argument: settings (serviceAccount of the values), name (that of the one the chart makes). */}}
{{- define "arxiv-operator.account" -}}
{{- if not (or .settings.create .settings.name) }}{{ fail (printf "serviceAccount.create is false: give the name of the one to use in place of %s" .name) }}{{ end }}
{{- .settings.name | default .name }}
{{- end }}

{{/* The operator's ServiceAccount. */}}
{{- define "arxiv-operator.operatorAccount" -}}
{{- include "arxiv-operator.account" (dict "settings" .Values.operator.serviceAccount "name" (printf "%s-operator" (include "arxiv-operator.fullname" .))) }}
{{- end }}

{{/* That of the migrations. */}}
{{- define "arxiv-operator.migrateAccount" -}}
{{- include "arxiv-operator.account" (dict "settings" .Values.migrations.serviceAccount "name" (printf "%s-migrate" (include "arxiv-operator.fullname" .))) }}
{{- end }}

{{/* Fails if two processes would get a ServiceAccount of one name: each has rights of its own. Argument: the root. */}}
{{- define "arxiv-operator.distinctAccounts" -}}
{{- $made := list (printf "%s-test" (include "arxiv-operator.fullname" .)) }}
{{- if .Values.operator.serviceAccount.create }}{{ $made = append $made (include "arxiv-operator.operatorAccount" .) }}{{ end }}
{{- if and .Values.migrations.enabled .Values.migrations.serviceAccount.create }}{{ $made = append $made (include "arxiv-operator.migrateAccount" .) }}{{ end }}
{{- $shared := list }}
{{- range (include "arxiv-operator.groups" . | fromYaml).groups }}
{{- if .settings.serviceAccount.create }}{{ $shared = append $shared .account }}{{ end }}
{{- end }}
{{- range uniq $shared }}{{ $made = append $made . }}{{ end }}
{{- range uniq $made }}
{{- $name := . }}
{{- $same := 0 }}
{{- range $made }}{{ if eq . $name }}{{ $same = add1 $same }}{{ end }}{{ end }}
{{- if gt (int $same) 1 }}{{ fail (printf "serviceAccount.name: %d processes of different rights would share the ServiceAccount %s; give each its own, or make it yourself and set create: false" $same $name) }}{{ end }}
{{- end }}
{{- end }}
