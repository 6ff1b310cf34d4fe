/** How to ask a program whether it is well: `path`, on the address that `variable` names. */
export interface Probe {
  readonly variable: string;
  readonly defaultAddress: string;
  readonly path: string;
  /** Names the file of the certificate that it shows there, when it does. */
  readonly certificateVariable?: string;
}

/** By program. Written out, so that a check does not load the settings with all that they need. */
export const PROBES: Readonly<Record<'gateway' | 'orchestrator', Probe>> = {
  gateway: {
    variable: 'FOLDFORGE_GATEWAY__BIND_ADDR',
    defaultAddress: '0.0.0.0:8080',
    path: '/v1/healthz',
    certificateVariable: 'FOLDFORGE_GATEWAY__TLS_CERT_FILE',
  },
  orchestrator: { variable: 'FOLDFORGE_ORCH__METRICS_ADDR', defaultAddress: '0.0.0.0:9090', path: '/metrics' },
};
