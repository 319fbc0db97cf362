// node-postgres against the server named by PGHOST, PGPORT, PGUSER and PGDATABASE.
'use strict'

const assert = require('node:assert')
const { pipeline } = require('node:stream/promises')
const { Readable } = require('node:stream')
const { Client, Pool } = require('pg')
const Cursor = require('pg-cursor')
const copy = require('pg-copy-streams')

const document = { a: [1, 2.5, null, true, 'x'], b: { c: 'd' } }
// Column type, value sent, and what comes back if that differs: node-postgres leaves what JavaScript cannot hold as text.
const values = [
  ['boolean', true],
  ['smallint', -32768],
  ['integer', 2147483647],
  ['bigint', '-9223372036854775808'],
  ['real', 1.5],
  ['double precision', 0.1],
  ['numeric', '12345678901234567890.0123456789'],
  ['numeric(10,2)', '-0.50'],
  ['text', 'größe ✓ \\ \' "'],
  ['varchar(10)', 'ten'],
  ['char(5)', 'abc', 'abc  '],
  ['bytea', Buffer.from([0, 1, 254, 255])],
  ['date', '2024-02-29', new Date(2024, 1, 29)],
  ['time', '23:59:59.999999'],
  ['timestamp', '2024-02-29 12:30:00.123', new Date(2024, 1, 29, 12, 30, 0, 123)],
  ['timestamptz', new Date('2024-02-29T12:30:00.123Z')],
  ['uuid', '12345678-1234-5678-1234-567812345678'],
  ['json', document],
  ['jsonb', document],
  ['integer[]', [1, null, 3]],
  ['boolean[]', [true, null]],
  ['double precision[]', [0.1]],
  ['text[]', ['a', '', 'NULL', null, 'quo"te', 'com,ma', '{brace}']],
  ['timestamptz[]', [new Date('2000-01-01T00:00:00Z')]],
  ['jsonb[]', [document], [document]],
  ['numeric[]', ['1.50'], [1.5]]
]

async function everyType (client) {
  for (const [index, [type, sent, back]] of values.entries()) {
    const table = `value_${index}`
    await client.query(`CREATE TABLE ${table} (v ${type})`)
    await client.query(`INSERT INTO ${table} VALUES ($1), ($2)`, [sent, null])
    const result = await client.query(`SELECT v FROM ${table}`)
    assert.deepStrictEqual(result.rows, [{ v: back === undefined ? sent : back }, { v: null }], type)
  }
  const interval = await client.query("SELECT '1 day 02:03:04'::interval AS v")
  assert.deepStrictEqual({ ...interval.rows[0].v }, { days: 1, hours: 2, minutes: 3, seconds: 4 })
  const binary = await client.query({ text: 'SELECT $1::int AS i, $2::text AS t, $3::varchar AS b', values: [5, 'x', 'z'], binary: true })
  assert.deepStrictEqual(binary.rows, [{ i: 5, t: 'x', b: 'z' }])
}

async function statements (client) {
  await client.query('CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL UNIQUE, doc jsonb)')
  const first = await client.query('INSERT INTO person (name, doc) VALUES ($1, $2) RETURNING id', ['ada', document])
  assert.deepStrictEqual([first.command, first.rowCount, first.rows[0].id], ['INSERT', 1, 1])
  for (let i = 0; i < 10; i++) {
    const found = await client.query({ name: 'by id', text: 'SELECT name FROM person WHERE id = $1', values: [1] })
    assert.deepStrictEqual(found.rows, [{ name: 'ada' }])
  }
  const array = await client.query({ text: 'SELECT id, name FROM person', rowMode: 'array' })
  assert.deepStrictEqual(array.rows, [[1, 'ada']])
  assert.deepStrictEqual(array.fields.map(field => [field.name, field.dataTypeID]), [['id', 23], ['name', 25]])
  const several = await client.query("SELECT 1 AS a; SELECT 2 AS b; UPDATE person SET name = 'eve'")
  assert.deepStrictEqual(several.map(result => result.rowCount), [1, 1, 1])
  const any = await client.query('SELECT name FROM person WHERE id = ANY($1)', [[1, 2, 3]])
  assert.deepStrictEqual(any.rows, [{ name: 'eve' }])
}

async function refused (client, text, parameters, fields) {
  await assert.rejects(client.query(text, parameters), error => {
    for (const [name, value] of Object.entries(fields)) assert.strictEqual(error[name], value, `${name} of ${text}`)
    return true
  })
}

async function sqlstates (client) {
  await client.query('CREATE TABLE rule (id int PRIMARY KEY, n int NOT NULL CONSTRAINT few CHECK (n < 10))')
  await client.query('INSERT INTO rule VALUES (1, 1)')
  await refused(client, 'INSERT INTO rule VALUES ($1, 2)', [1], {
    code: '23505', severity: 'ERROR', schema: 'public', table: 'rule', constraint: 'rule_pkey', detail: 'Key (id)=(1) already exists.'
  })
  await refused(client, 'INSERT INTO rule VALUES (2, 20)', [], { code: '23514', constraint: 'few', table: 'rule' })
  await refused(client, 'INSERT INTO rule VALUES (2)', [], { code: '23502', column: 'n', table: 'rule' })
  await refused(client, 'SELECT nothing FROM rule', [], { code: '42703', position: '8' })
  await refused(client, 'SELECT $1::int', ['x'], { code: '22P02' })
  await refused(client, 'SELECT 1/0', [], { code: '22012' })
}

async function transactions (client) {
  await client.query('BEGIN')
  await client.query('INSERT INTO rule VALUES (5, 5)')
  await client.query('SAVEPOINT here')
  await refused(client, 'INSERT INTO rule VALUES (5, 5)', [], { code: '23505' })
  await refused(client, 'SELECT 1', [], { code: '25P02' })
  await client.query('ROLLBACK TO here')
  await client.query('COMMIT')
  const pool = new Pool({ max: 5 })
  const counts = await Promise.all(Array.from({ length: 20 }, () => pool.query('SELECT count(*)::int AS n FROM rule')))
  assert(counts.every(result => result.rows[0].n === 2))
  await pool.end()
}

async function copies (client) {
  await client.query('CREATE TABLE copied (id int, name text)')
  const lines = Array.from({ length: 5000 }, (_, i) => `${i}\tname ${i}\n`)
  await pipeline(Readable.from(lines), client.query(copy.from('COPY copied FROM STDIN')))
  let text = ''
  for await (const chunk of client.query(copy.to('COPY (SELECT * FROM copied ORDER BY id) TO STDOUT'))) text += chunk
  assert.strictEqual(text, lines.join(''))
  await assert.rejects(pipeline(Readable.from(['x\ty\n']), client.query(copy.from('COPY copied FROM STDIN'))), { code: '22P02' })
}

async function cursors (client) {
  const cursor = client.query(new Cursor('SELECT * FROM generate_series($1::int, $2) AS n', [1, 1000]))
  let sum = 0
  for (let rows = await cursor.read(64); rows.length; rows = await cursor.read(64)) {
    assert(rows.length <= 64)
    for (const row of rows) sum += row.n
  }
  assert.strictEqual(sum, 500500)
  await cursor.close()
}

async function timeouts (client) {
  const impatient = new Client({ statement_timeout: 50 })
  await impatient.connect()
  await refused(impatient, 'SELECT pg_sleep(60)', [], { code: '57014' })
  await impatient.end()
  const { rows: [{ pid }] } = await client.query('SELECT pg_backend_pid() AS pid')
  const other = new Client()
  await other.connect()
  const slept = refused(client, 'SELECT pg_sleep(60)', [], { code: '57014' })
  await other.query('SELECT pg_sleep(0.1)')
  await other.query('SELECT pg_cancel_backend($1)', [pid])
  await slept
  await other.end()
}

async function notifications (client) {
  const heard = new Promise(resolve => client.once('notification', resolve))
  await client.query('LISTEN news')
  await client.query("NOTIFY news, 'hello'")
  const { channel, payload } = await heard
  assert.deepStrictEqual([channel, payload], ['news', 'hello'])
}

async function main () {
  const client = new Client()
  await client.connect()
  let failed = 0
  for (const step of [everyType, statements, sqlstates, transactions, copies, cursors, timeouts, notifications]) {
    try {
      await step(client)
    } catch (error) {
      failed++
      console.error(`${step.name}:`, error)
      await client.query('ROLLBACK')
    }
  }
  await client.end()
  if (failed) process.exit(1)
  console.log('node-postgres', require('pg/package.json').version, 'ok')
}

main().catch(error => {
  console.error(error)
  process.exit(1)
})
