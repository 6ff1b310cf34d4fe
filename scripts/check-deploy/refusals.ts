const PAIR = { orchestrator: 'orchestrator.tls.secretName="a"', gateway: 'gateway.tls.secretName="a"' } as const;
const PLACE = '{"secret":{"name":"a","key":"ca.crt"}}';

/** What the chart must refuse, as `--set-json` takes it, and what of its message an operator goes by. */
export const REFUSALS: readonly (readonly [settings: string | readonly string[], said: RegExp])[] = [
  ['objectStore.endpoint=""', /\/objectStore\/endpoint/],
  ['objectStore.endpoint="s3.example.org"', /\/objectStore\/endpoint/],
  ['gateway.config.LOG_LEVL="info"', /\/gateway\/config': additional properties 'LOG_LEVL'/],
  ['gateway.config.API_TOKEN="x"', /\/gateway\/config': additional properties 'API_TOKEN'/],
  ['gateway.config.BODY_LIMIT_BYTES="1 MB"', /\/gateway\/config\/BODY_LIMIT_BYTES/],
  ['gateway.config.SHUTDOWN_DELAY_SECONDS=60', /SHUTDOWN_DELAY_SECONDS is longer than SHUTDOWN_GRACE_SECONDS/],
  ['gateway.secrets.STREAM_TICKET_SECRETS=null', /\/gateway\/secrets': missing property 'STREAM_TICKET_SECRETS'/],
  ['gateway.secrets.API_TOKEN="x"', /\/gateway\/secrets\/API_TOKEN/],
  ['gateway.autoscaling.minReplicas=20', /minReplicas \(20\) is more than maxReplicas \(10\)/],
  ['gateway.autoscaling.targetCPUPercent=0', /neither targetCPUPercent nor targetInFlightRequests/],
  ['gateway.resources={"requests":{"cpu":null}}', /targetCPUPercent is a share of gateway.resources.requests.cpu/],
  ['orchestrator.replicas=0', /\/orchestrator\/replicas/],
  ['orchestrator.config.EXECUTOR_ID="a"', /\/orchestrator\/config': additional properties 'EXECUTOR_ID'/],
  ['ingress.enabled=true', /ingress.hosts is empty/],
  ['tracing.env.OTEL_EXPORTER_OTLP_HEADERS="a=b"', /may be a secret: name the Secret that has it in tracing.headers/],
  ['tracing.env.OTEL_SERVICE_NAME="a"', /would give both programs one name/],
  ['networkPolicy.clients=[{"cidr":"10.0.0.0/8"}]', /\/networkPolicy\/clients\/0/],
  ['gateway.config.TLS_CERT_FILE="/a"', /\/gateway\/config': additional properties 'TLS_CERT_FILE'/],
  ['gateway.config.ORCHESTRATOR_TRANSPORT="stock"', /ORCHESTRATOR_TRANSPORT is stock, which cannot use dns:\/\/\//],
  [PAIR.orchestrator, /orchestrator.tls.secretName is set, so gateway.orchestratorTls.ca must be set too/],
  [
    [PAIR.orchestrator, `gateway.orchestratorTls.ca=${PLACE}`, `orchestrator.tls.clientCA=${PLACE}`],
    /orchestrator.tls.clientCA is set, so gateway.orchestratorTls.secretName must be set too/,
  ],
  [`orchestrator.tls.clientCA=${PLACE}`, /clientCA is set, but orchestrator.tls.secretName is not/],
  [`gateway.orchestratorTls.ca=${PLACE}`, /orchestratorTls.ca is set, but orchestrator.tls.secretName is not/],
  [
    'gateway.orchestratorTls.secretName="a"',
    /orchestratorTls.secretName is set, but orchestrator.tls.secretName is not/,
  ],
  [
    'gateway.orchestratorTls.ca={"secret":{"name":"a"}}',
    /\/gateway\/orchestratorTls\/ca\/secret': missing property 'key'/,
  ],
  ['gateway.orchestratorTls.ca={}', /\/gateway\/orchestratorTls\/ca/],
  [
    'gateway.orchestratorTls.ca={"secret":{"name":"a","key":"b"},"configMap":{"name":"a","key":"b"}}',
    /\/gateway\/orchestratorTls\/ca': maxProperties/,
  ],
  ['gateway.tls=null', /\/gateway': missing property 'tls'/],
  ['gateway.tls.secretName="-----BEGIN"', /\/gateway\/tls\/secretName/],
  [`orchestrator.sidecarTls.ca=${PLACE}`, /no orchestrator.config.SIDECAR_… is https:\/\//],
  [
    [`orchestrator.sidecarTls.ca=${PLACE}`, 'orchestrator.config.SIDECAR_AF2="http://a:1"'],
    /no orchestrator.config.SIDECAR_… is https:\/\//,
  ],
  [[PAIR.gateway, 'serviceMonitor.enabled=true'], /serviceMonitor.tlsConfig must have serverName/],
  ['serviceMonitor.tlsConfig={"serverName":"a"}', /tlsConfig is set, but gateway.tls.secretName is not/],
  ['gatway={}', /additional properties 'gatway'/],
];
