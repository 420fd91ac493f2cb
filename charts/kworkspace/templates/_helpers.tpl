{{- define "kworkspace.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "kworkspace.hub" -}}
{{ include "kworkspace.fullname" . }}-hub
{{- end -}}

{{- define "kworkspace.gateway" -}}
{{ include "kworkspace.fullname" . }}-gateway
{{- end -}}

{{- define "kworkspace.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{ default (include "kworkspace.hub" .) .Values.serviceAccount.name }}
{{- else -}}
{{ default "default" .Values.serviceAccount.name }}
{{- end -}}
{{- end -}}

{{- /* Labels that pods are selected by: (list $ "hub"). */ -}}
{{- define "kworkspace.selector" -}}
{{- $top := index . 0 -}}
app.kubernetes.io/name: {{ $top.Chart.Name }}
app.kubernetes.io/instance: {{ $top.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{- define "kworkspace.labels" -}}
{{- $top := index . 0 -}}
{{ include "kworkspace.selector" . }}
app.kubernetes.io/version: {{ $top.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $top.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $top.Chart.Name $top.Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "kworkspace.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{- define "kworkspace.hubSecret" -}}
{{ default (include "kworkspace.hub" .) .Values.hub.existingSecret }}
{{- end -}}

{{- define "kworkspace.gatewaySecret" -}}
{{ default (include "kworkspace.gateway" .) .Values.gateway.existingSecret }}
{{- end -}}

{{- /* The path that the hub's pages and REST are below, with `/` at both ends. */ -}}
{{- define "kworkspace.baseUrl" -}}
{{- $path := trimAll "/" .Values.hub.baseUrl -}}
{{ if $path }}/{{ $path }}/{{ else }}/{{ end }}
{{- end -}}

{{- /* The hub's Service, as pods of the cluster reach it. */ -}}
{{- define "kworkspace.hubUrl" -}}
{{ printf "http://%s.%s.svc:%v" (include "kworkspace.hub" .) .Release.Namespace .Values.hub.service.port }}
{{- end -}}

{{- define "kworkspace.publicUrls" -}}
{{- $below := include "kworkspace.baseUrl" . | trimSuffix "/" -}}
{{- if .Values.hub.publicUrls -}}
{{ toJson .Values.hub.publicUrls }}
{{- else if and .Values.ingress.enabled .Values.ingress.tlsSecret -}}
{{ list (printf "https://%s%s" .Values.ingress.host $below) | toJson }}
{{- else if .Values.ingress.enabled -}}
{{ list (printf "http://%s%s" .Values.ingress.host $below) | toJson }}
{{- else -}}
[]
{{- end -}}
{{- end -}}

{{- define "kworkspace.publicPort" -}}
{{- $service := .Values.gateway.service -}}
{{- $nodePort := ternary $service.nodePort 0 (eq $service.type "NodePort") -}}
{{ .Values.gateway.publicPort | default $nodePort | default $service.port | int }}
{{- end -}}

{{- /* Both Deployments' pods are what PodSecurity `restricted` admits. */ -}}
{{- define "kworkspace.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 1000
runAsGroup: 1000
fsGroup: 1000
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "kworkspace.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* What values cannot say of themselves by the schema. */ -}}
{{- define "kworkspace.check" -}}
{{- if eq .Values.workspaces.namespace .Release.Namespace -}}
{{- fail (printf "workspaces.namespace: '%s' is the release's own namespace, where the hub's secrets are; name another one" .Release.Namespace) -}}
{{- end -}}
{{- if regexMatch "://[^/@]*:[^/@]*@" .Values.hub.db.url -}}
{{- fail "hub.db.url: it has a password, and would be in a ConfigMap; put the URL into a Secret and name that as hub.db.existingSecret" -}}
{{- end -}}
{{- if and .Values.hub.db.url .Values.hub.db.existingSecret -}}
{{- fail "hub.db.url: hub.db.existingSecret has a URL too; set one of them" -}}
{{- end -}}
{{- if not (or .Values.hub.persistence.enabled .Values.hub.db.url .Values.hub.db.existingSecret) -}}
{{- fail "hub.persistence.enabled: without a volume the database must be elsewhere; set hub.db.url or hub.db.existingSecret" -}}
{{- end -}}
{{- if and .Values.ingress.enabled (not .Values.ingress.host) -}}
{{- fail "ingress.host: an Ingress needs the name that people dial" -}}
{{- end -}}
{{- end -}}
