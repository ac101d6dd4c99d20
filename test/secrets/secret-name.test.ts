import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isSecretName } from '../../app/secrets/secret-name.ts'

const secret =
  `password Password PASSWORD dbPassword DB_PASSWORD db-password dbpassword DBPASSWORD user.password passwordHash newPassword2 password_confirmation
  pass smtp_pass SMTP_PASS passwd pwd mypwd passphrase passcode secret SECRET clientSecret client_secret clientsecret secrets SECRET_KEY_BASE
  token tokens accessToken access_token accesstoken ACCESS_TOKEN refreshToken token2 idToken csrfToken _csrf xsrf-token
  key KEY apiKey api_key apikey APIKEY APIKey X-Api-Key sshKey privateKey privatekey accessKey aws_secret_access_key encryptionKey keys
  auth basicAuth auth_header Authorization authorization Proxy-Authorization authCode oauth bearer jwt otp totp
  cookie Cookie Set-Cookie sessionCookie cookies credential credentials gcpCredentials dbCreds sessionId session_id sessionid PHPSESSID_token
  密码 数据库密码 访问令牌 API密钥`
    .split(/\s+/)
    .filter(Boolean)
const harmless =
  `keyboard monkey turkey author authors authority authored authorName keynote hockey whiskey keyword key_word? passenger passport compass bypass
  secretary tokenizer? cookiecutter? passive passage donkey rows month user name id url host email path mode text note value type
  primaryKey primary_key foreignKey sortKey partitionKey publicKey PUBLIC_KEY cacheKey objectKey routingKey idempotencyKey
  keyId accessKeyId access_key_id tokenType token_type tokenCount maxTokens max_tokens total_tokens passwordLength password_policy keyName keyFile key_path
  secretName cookieDomain tokenExpiresAt authMode authUser passCount firstPass keyPress sessionTimeout session sessions constructor __proto__`
    .split(/\s+/)
    .filter(word => word !== '' && !word.endsWith('?'))

test('a name is a secret by its words', () => {
  assert.deepEqual(
    secret.filter(name => !isSecretName(name)),
    [],
  )
})

test('words that only look like it are none', () => {
  assert.deepEqual(harmless.filter(isSecretName), [])
})

test('names of any length take time in proportion', () => {
  for (const part of ['A', 'a', 'Aa', 'aA', '1', '_', 'key', 'pass', '密', '\u0000']) {
    const name = part.repeat(1_000_000 / part.length)
    const began = performance.now()
    isSecretName(name)
    assert.ok(performance.now() - began < 2_000, `${part}: ${performance.now() - began} ms`)
  }
})
