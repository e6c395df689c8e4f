// One real server for the tests on 127.0.0.1, as `node start.mjs plc|pds`.
//
// plc: the directory of identities, in memory. pds: the data server, configured by PDS_* variables.
// Either prints one JSON line {"url": ...} once it listens, and ends when its standard input closes,
// so that it never outlives the test run that started it.
import process from 'node:process'

const loopbackOnly = (server) => {
  const listen = server.app.listen.bind(server.app)
  server.app.listen = (port) => listen(port, '127.0.0.1') // by default both listen on every interface
  return server
}

const directory = async () => {
  const { default: plc } = await import('@did-plc/server')
  return plc.PlcServer.create({ db: plc.Database.mock(), port: 0 })
}

const dataServer = async () => {
  const { default: pds } = await import('@atproto/pds')
  const env = pds.readEnv()
  return pds.PDS.create(pds.envToCfg(env), pds.envToSecrets(env))
}

const roles = { plc: directory, pds: dataServer }
const server = loopbackOnly(await roles[process.argv[2]]())
const listening = await server.start()
process.stdin.on('end', () => process.exit(0)).resume()
console.log(JSON.stringify({ url: `http://127.0.0.1:${listening.address().port}` }))
