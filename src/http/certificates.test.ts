import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import test from 'node:test'
import tls from 'node:tls'
import { makeAuthority } from './certificates.ts'

test('what is issued verifies under its root, for its names and its use', async () => {
  const authority = await makeAuthority('root', 10)
  const server = await authority.issue({
    commonName: 's',
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
    use: 'server',
  })
  const client = await authority.issue({ commonName: 'cks.kms.eu-west-1.amazonaws.com', use: 'client' })
  const other = await makeAuthority('root', 10)
  const [ca, leaf] = [new X509Certificate(authority.certificate), new X509Certificate(server.certificate)]
  assert.ok(leaf.verify(ca.publicKey))
  assert.ok(!leaf.verify(new X509Certificate(other.certificate).publicKey))
  assert.ok(leaf.checkIP('127.0.0.1') && leaf.checkHost('localhost'))

  const listener = tls.createServer({
    cert: server.certificate,
    key: server.key,
    ca: authority.certificate,
    requestCert: true,
  })
  const port = await new Promise<number>(resolve =>
    listener.listen(0, '127.0.0.1', () => resolve((listener.address() as { port: number }).port)),
  )
  const peer = new Promise<string | string[] | undefined>(resolve =>
    listener.once('secureConnection', socket => {
      resolve(socket.authorized ? socket.getPeerCertificate().subject.CN : undefined)
      socket.end()
    }),
  )
  const socket = tls.connect({
    port,
    host: '127.0.0.1',
    ca: authority.certificate,
    cert: client.certificate,
    key: client.key,
  })
  await new Promise((resolve, reject) => socket.once('secureConnect', resolve).once('error', reject))
  assert.equal(await peer, 'cks.kms.eu-west-1.amazonaws.com')
  socket.destroy()
  listener.close()
})
