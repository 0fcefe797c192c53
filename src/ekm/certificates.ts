/** Certificates for services that nobody has given any; see the http room. */
export { type Authority, type CertificateRequest, type Issued, makeAuthority } from '../http/certificates.ts'
