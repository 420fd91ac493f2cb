{{- /* hub_config.py. A JSON string is a Python string too; JSON's true and null are not Python's. */ -}}
{{- define "kworkspace.hubConfig" -}}
# Made by Helm from the chart's values: change those.
import json
from pathlib import Path

from traitlets.config import Config

c = get_config()

c.Hub.bind_url = "http://{{ .Values.listenAddress }}:8000"
c.Hub.base_url = {{ include "kworkspace.baseUrl" . | toJson }}
c.Hub.data_dir = "/var/lib/kworkspace"
c.Hub.cookie_secret_file = "/run/kworkspace/hub/cookie_secret"
c.Hub.user_ca_file = "/run/kworkspace/hub/user_ca"
c.Hub.host_ca_file = "/run/kworkspace/hub/host_ca"
c.Hub.gateway_host_key_file = "/run/kworkspace/gateway/host_key"
c.Hub.services = [{"name": "gateway", "api_token_file": "/run/kworkspace/gateway/token"}]
{{- if .Values.hub.db.existingSecret }}
c.Hub.db_url = Path("/run/kworkspace/db", {{ .Values.hub.db.secretKey | toJson }}).read_text().strip()
{{- else if .Values.hub.db.url }}
c.Hub.db_url = {{ .Values.hub.db.url | toJson }}
{{- end }}
{{- $urls := include "kworkspace.publicUrls" . }}
{{- if ne $urls "[]" }}
c.Hub.public_urls = {{ $urls }}
{{- end }}
{{- if .Values.ingress.enabled }}
c.Hub.tunnel_url = {{ printf "%sgateway/tunnel" (include "kworkspace.baseUrl" .) | toJson }}
{{- end }}
{{- with .Values.gateway.publicHost }}
c.Hub.gateway_host_names = [{{ toJson . }}]
{{- end }}
{{- with .Values.hub.trustedProxies }}
c.Hub.trusted_downstream_ips = {{ toJson . }}
{{- end }}

c.Hub.spawner_class = "kubernetes"
c.KubeSpawner.namespace = {{ .Values.workspaces.namespace | toJson }}
{{- with .Values.workspaces.image }}
c.KubeSpawner.image = {{ toJson . }}
{{- end }}
{{- with .Values.workspaces.storage.capacity }}
c.KubeSpawner.storage_capacity = {{ toJson . }}
{{- end }}
{{- with .Values.workspaces.storage.storageClassName }}
c.KubeSpawner.storage_class = {{ toJson . }}
{{- end }}
{{- if eq .Values.workspaces.podSecurity "restricted" }}
c.KubeSpawner.uid = 1000
{{- end }}
{{- with .Values.hub.config }}

# hub.config
c.merge(Config(json.loads({{ toJson . | toJson }})))
{{- end }}
{{- range $name, $text := .Values.hub.extraConfig }}

# hub.extraConfig: {{ $name }}
{{ trim $text }}
{{- end }}
{{ end -}}
