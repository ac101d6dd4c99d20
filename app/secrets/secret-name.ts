/**
 * Whether what stands under this name is a secret: a key of params, a field of a log line, a header.
 *
 * The name is taken apart into words (`dbPassword`, `DB_PASSWORD`, `db-password`), and one of them has to be such a word: `key`, not `keyboard`;
 * `auth`, not `author`. Words that are written together count where they cannot mean anything else (`clientsecret`).
 * A name that ends in what describes a secret (`tokenType`, `keyId`, `passwordLength`, `secretFile`) is none, nor is a key that sorts or
 * groups (`primaryKey`, `publicKey`). In doubt a name is one: hidden too much can be looked up, shown too much cannot be taken back.
 */
export const isSecretName = (name: string): boolean => {
  if (chinese.some(word => name.includes(word))) return true
  const words = wordsOf(name)
  if (phrases.some(([first, second]) => words.some((word, index) => word === first && words[index + 1] === second))) return true
  if (words.length > 1 && isDescribing(words)) return false
  return words.some((word, index) => isSecretWord(word) && !(harmlessBefore[word]?.has(words[index - 1] ?? '') ?? false))
}

/** A name that says what a secret is like, or whose, and not what it is. */
export const isDescribingName = (name: string): boolean => isDescribing(wordsOf(name))

const wordsOf = (name: string): string[] => (name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g) ?? []).map(word => word.toLowerCase())

const isSecretWord = (word: string) =>
  secretWords.has(word) || anywhere.some(part => word.includes(part)) || atEnd.some(part => word.endsWith(part))

const isDescribing = (words: readonly string[]) => describing.has(words.at(-1) ?? '')

const secretWords = new Set(
  'pass passcode pwd secret secrets token tokens key keys apikey apikeys auth oauth authorization cookie cookies creds bearer jwt otp totp csrf xsrf'.split(
    ' ',
  ),
)
const anywhere = ['password', 'passwd', 'passphrase', 'credential']
const atEnd = [
  ...['secret', 'secrets', 'token', 'tokens', 'pwd', 'cookie', 'cookies', 'apikey', 'accesskey', 'authkey', 'privatekey', 'secretkey'],
  ...['signingkey', 'sshkey', 'masterkey', 'encryptionkey', 'licensekey', 'sessionid'],
]
const phrases = [
  ['session', 'id'],
  ['sess', 'id'],
] as const
const chinese = ['密码', '密碼', '口令', '密钥', '金鑰', '令牌', '凭证', '憑證']

const describing = new Set(
  [
    'id ids name names type types kind count counts size length limit limits file files path paths folder directory domain method mode',
    'policy algorithm expiry expires expiration ttl age at timeout version format prefix column field index enabled required hint label',
    'issuer audience scope scopes user username login email host port press down up frame frames stroke reset rotation strength provider',
  ]
    .join(' ')
    .split(' '),
)

const quantities = new Set('max min total num count used input output prompt completion'.split(' '))
const keyKinds = new Set(
  'primary foreign sort partition unique public group cache row range lookup message translation routing shard object storage idempotency dedupe'.split(
    ' ',
  ),
)
/** What a word must not follow to be a secret: `maxTokens`, `sortKey`, `firstPass`. */
const harmlessBefore: Readonly<Record<string, ReadonlySet<string>>> = Object.assign(Object.create(null), {
  tokens: quantities,
  key: keyKinds,
  keys: keyKinds,
  pass: new Set('first second last single multi'.split(' ')),
})
