{{/* The chart's name, or nameOverride. In a parent chart, the name is the alias, which may not be valid in Kubernetes. */}}
{{- define "rl-router.name" -}}
{{- default (.Chart.Name | lower | replace "_" "-") .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of the objects in the release's namespace. The name is short enough that a suffix can be appended. */}}
{{- define "rl-router.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "rl-router.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "rl-router.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that select the operator's pods. These labels must never change. */}}
{{- define "rl-router.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rl-router.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* The labels of all objects of the chart. */}}
{{- define "rl-router.labels" -}}
app.kubernetes.io/name: {{ include "rl-router.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- if eq .Values.creator "helm" }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "rl-router.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "rl-router.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The operator's image. A digest takes precedence over the tag. */}}
{{- define "rl-router.image" -}}
{{- with .Values.image -}}
{{- if .registry }}{{ trimSuffix "/" .registry }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end -}}
{{- end -}}

{{/* The fields that all containers with the operator's image have in common. */}}
{{- define "rl-router.container" -}}
image: {{ include "rl-router.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
{{- with .Values.containerSecurityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
terminationMessagePolicy: FallbackToLogsOnError
{{- end -}}

{{/* The fields that all pods with the operator's image have in common. */}}
{{- define "rl-router.pod" -}}
enableServiceLinks: false
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.securityContext }}
securityContext:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* The labels of the operator's pods. podLabels take precedence over the labels of all objects, so that no key appears twice. */}}
{{- define "rl-router.podLabels" -}}
{{- $component := dict "app.kubernetes.io/component" "operator" -}}
{{- mergeOverwrite (include "rl-router.labels" . | fromYaml) $component .Values.podLabels | toYaml -}}
{{- end -}}

{{/* The labels of a hook's pods. hooks.podLabels take precedence over all other labels. The argument is (list . COMPONENT). */}}
{{- define "rl-router.hookPodLabels" -}}
{{- $values := (index . 0).Values -}}
{{- $component := dict "app.kubernetes.io/component" (index . 1) -}}
{{- $hook := ($values.hooks | default dict).podLabels -}}
{{- mergeOverwrite (include "rl-router.labels" (index . 0) | fromYaml) $component $values.podLabels $hook | toYaml -}}
{{- end -}}

{{/* The annotations of a hook's pods. */}}
{{- define "rl-router.hookPodAnnotations" -}}
{{- with mergeOverwrite (dict) .Values.podAnnotations (.Values.hooks | default dict).podAnnotations -}}
{{ toYaml . }}
{{- end -}}
{{- end -}}

{{/* The rules of a Role, from rules/NAME.yaml. The argument is (list . NAME). */}}
{{- define "rl-router.rules" -}}
{{- (index . 0).Files.Get (printf "rules/%s.yaml" (index . 1)) | fromYamlArray | toYaml -}}
{{- end -}}

{{/* The annotations of objects that Helm creates before an upgrade. The argument is the hook weight. */}}
{{- define "rl-router.upgradeHook" -}}
helm.sh/hook: pre-upgrade
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The annotations of the objects of `helm test`. The argument is the hook weight. Helm keeps the objects of a failed test. */}}
{{- define "rl-router.testHook" -}}
helm.sh/hook: test
helm.sh/hook-weight: {{ . | quote }}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}

{{/* The operator's flags, one for each value that is set. */}}
{{- define "rl-router.arguments" -}}
- --release={{ .Release.Name }}
- --log-level={{ .Values.logLevel }}
{{- with .Values.watchNamespaces }}
- --watch-namespaces={{ join "," . }}
{{- end }}
{{- with .Values.image.registry }}
- --registry={{ . }}
{{- end }}
{{- range $flag, $image := dict "api" .Values.routers.images.api "model" .Values.routers.images.model "vllm" .Values.routers.images.vllm "vllm-cpu" .Values.routers.images.vllmCpu }}
{{- with $image }}
- --{{ $flag }}-image={{ . }}
{{- end }}
{{- end }}
{{- with .Values.routers.imagePullPolicy }}
- --image-pull-policy={{ . }}
{{- end }}
{{- with .Values.routers.imagePullSecrets }}
- --image-pull-secrets={{ join "," . }}
{{- end }}
{{- range $flag, $proxy := dict "https-proxy" .Values.routers.proxy.httpsProxy "http-proxy" .Values.routers.proxy.httpProxy "no-proxy" .Values.routers.proxy.noProxy }}
{{- with $proxy }}
- --{{ $flag }}={{ . }}
{{- end }}
{{- end }}
{{- with .Values.prometheus.namespace }}
- --monitoring-namespace={{ . }}
{{- end }}
{{- end -}}
