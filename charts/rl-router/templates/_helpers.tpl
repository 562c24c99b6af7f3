{{/* The chart's name, or nameOverride. In a parent chart, the name is the alias, which may not be valid in Kubernetes. */}}
{{- define "rl-router.name" -}}
{{- default (.Chart.Name | lower | replace "_" "-") .Values.nameOverride | trunc 50 | trimAll "-." -}}
{{- end -}}

{{/* The name of the objects in the release's namespace. The name is short enough that a suffix can be appended. The name of a Service must start with a letter and contain no dot. */}}
{{- define "rl-router.fullname" -}}
{{- $name := include "rl-router.name" . -}}
{{- $default := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) -}}
{{- $fullname := default $default .Values.fullnameOverride | replace "." "-" | trunc 50 | trimAll "-" -}}
{{- regexMatch "^[0-9]" $fullname | ternary (printf "rl-%s" $fullname) $fullname -}}
{{- end -}}

{{/* Gives each value that is null or missing its default. An upgrade with --reuse-values has no values that are new in this chart. */}}
{{- define "rl-router.defaults" -}}
{{- include "rl-router.fill" (list .Values (.Files.Get "defaults.yaml" | fromYaml)) -}}
{{- end -}}

{{/* Adds missing values to a mapping. The argument is (list MAPPING DEFAULTS). */}}
{{- define "rl-router.fill" -}}
{{- $values := index . 0 -}}
{{- range $name, $default := index . 1 -}}
{{- if kindIs "invalid" (index $values $name) -}}
{{- $_ := set $values $name $default -}}
{{- else if kindIs "map" $default -}}
{{- include "rl-router.fill" (list (index $values $name) $default) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Labels or annotations with strings as values. The argument is a list of mappings, of which later ones take precedence. */}}
{{- define "rl-router.strings" -}}
{{- $strings := dict -}}
{{- range . -}}
{{- range $key, $value := . -}}
{{- if not (kindIs "invalid" $value) -}}
{{- $_ := set $strings $key (kindIs "string" $value | ternary $value (toJson $value)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- toYaml $strings -}}
{{- end -}}

{{/* The labels that select the operator's pods. These labels must never change. */}}
{{- define "rl-router.selectorLabels" -}}
app.kubernetes.io/name: {{ include "rl-router.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Fails if a value sets a label that selects the operator's pods. Helm names a wrong value for such an error of the schema. */}}
{{- define "rl-router.checkLabels" -}}
{{- $selector := include "rl-router.selectorLabels" . | fromYaml -}}
{{- range $value, $labels := dict "commonLabels" .Values.commonLabels "podLabels" .Values.podLabels "hooks.podLabels" .Values.hooks.podLabels -}}
{{- range $label, $text := $labels -}}
{{- if hasKey $selector $label -}}
{{- fail (printf "%s: the label %s: %v would replace a label that selects the operator's pods. Remove the label from %s" $value $label $text $value) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The labels of all objects of the chart. */}}
{{- define "rl-router.labels" -}}
{{- include "rl-router.labelsWith" (list .) -}}
{{- end -}}

{{/* The labels of all objects of the chart, and further labels that take precedence. The argument is (list . LABELS...). */}}
{{- define "rl-router.labelsWith" -}}
{{- $root := index . 0 -}}
{{- $labels := dict "app.kubernetes.io/name" (include "rl-router.name" $root) "app.kubernetes.io/instance" $root.Release.Name "app.kubernetes.io/version" $root.Chart.AppVersion -}}
{{- if eq $root.Values.creator "helm" -}}
{{- $_ := set $labels "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $labels "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimAll "-_.") -}}
{{- end -}}
{{- include "rl-router.strings" (concat (list $labels $root.Values.commonLabels) (rest .)) -}}
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
image: {{ include "rl-router.image" . | quote }}
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
  {{- include "rl-router.strings" (list .) | nindent 2 }}
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
priorityClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{/* The labels of the operator's pods. podLabels take precedence over the labels of all objects, so that no key appears twice. */}}
{{- define "rl-router.podLabels" -}}
{{- include "rl-router.labelsWith" (list . (dict "app.kubernetes.io/component" "operator") .Values.podLabels) -}}
{{- end -}}

{{/* The labels of a hook's pods. hooks.podLabels take precedence over all other labels. The argument is (list . COMPONENT). */}}
{{- define "rl-router.hookPodLabels" -}}
{{- $root := index . 0 -}}
{{- $component := dict "app.kubernetes.io/component" (index . 1) -}}
{{- include "rl-router.labelsWith" (list $root $component $root.Values.podLabels $root.Values.hooks.podLabels) -}}
{{- end -}}

{{/* The annotations of a hook's pods, of which hooks.podAnnotations take precedence. */}}
{{- define "rl-router.hookPodAnnotations" -}}
{{- if or .Values.podAnnotations .Values.hooks.podAnnotations -}}
{{- include "rl-router.strings" (list .Values.podAnnotations .Values.hooks.podAnnotations) -}}
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
- {{ printf "--release=%s" .Release.Name | quote }}
- {{ printf "--log-level=%s" .Values.logLevel | quote }}
{{- with .Values.watchNamespaces }}
- {{ printf "--watch-namespaces=%s" (join "," .) | quote }}
{{- end }}
{{- with .Values.image.registry }}
- {{ printf "--registry=%s" . | quote }}
{{- end }}
{{- range $flag, $image := dict "api" .Values.routers.images.api "model" .Values.routers.images.model "vllm" .Values.routers.images.vllm "vllm-cpu" .Values.routers.images.vllmCpu }}
{{- with $image }}
- {{ printf "--%s-image=%s" $flag . | quote }}
{{- end }}
{{- end }}
{{- with .Values.routers.imagePullPolicy }}
- {{ printf "--image-pull-policy=%s" . | quote }}
{{- end }}
{{- with .Values.routers.imagePullSecrets }}
- {{ printf "--image-pull-secrets=%s" (join "," .) | quote }}
{{- end }}
{{- range $flag, $proxy := dict "https-proxy" .Values.routers.proxy.httpsProxy "http-proxy" .Values.routers.proxy.httpProxy "no-proxy" .Values.routers.proxy.noProxy }}
{{- with $proxy }}
- {{ printf "--%s=%s" $flag . | quote }}
{{- end }}
{{- end }}
{{- with .Values.prometheus.namespace }}
- {{ printf "--monitoring-namespace=%s" . | quote }}
{{- end }}
{{- end -}}
