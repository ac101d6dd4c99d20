import fc from 'fast-check'

/** Output as a hostile program might print it: escapes whole and broken, controls, markup, directional marks, halves of characters, floods of one thing. */
export const hostileOutput: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      {
        weight: 4,
        arbitrary: fc.constantFrom(
          ...[
            '\x1b[',
            '\x1b]',
            '\x1bP',
            '\x1b_',
            '\x1b^',
            '\x1bX',
            '\x1b(',
            '\x1b ',
            '\x1b',
            '\x90',
            '\x98',
            '\x9b',
            '\x9d',
            '\x9e',
            '\x9f',
          ],
          ...[
            '\x07',
            '\x1b\\',
            '\x9c',
            'm',
            ';',
            ':',
            '?',
            '31',
            '0',
            '97',
            '107',
            '38;5;196',
            '38;5;9',
            '48;2;1;2;3',
            '38;5',
            '\x1b[31m',
            '\x1b[0m',
            '\x1b[7;1;3;4;2m',
            '\x1b[m',
          ],
        ),
      },
      {
        weight: 3,
        arbitrary: fc.constantFrom(
          ...[
            '<',
            '>',
            '&',
            '"',
            "'",
            '`',
            '=',
            '<script>alert(1)</script>',
            '</span>',
            '<span class="',
            '<img src=x onerror=alert(1)>',
            '<!--',
            '-->',
            ']]>',
            '&lt;',
            '&#0;',
          ],
          ...[
            'javascript:',
            '8;;http://evil/',
            '\x1b]8;;javascript:alert(1)\x07',
            '\n',
            '\r',
            '\r\n',
            '\t',
            '\0',
            '\x08',
            '\x7f',
            '\x85',
            '\xad',
          ],
          ...[
            '\u061c',
            '\u200b',
            '\u200e',
            '\u202a',
            '\u202e',
            '\u2028',
            '\u2060',
            '\u2066',
            '\u2069',
            '\ufeff',
            '\ud800',
            '\udc00',
            '😀',
            'é',
            '漢',
          ],
        ),
      },
      { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 8 }) },
      { weight: 1, arbitrary: fc.stringMatching(/^[ -~]{0,12}$/) },
    ),
    { maxLength: 40 },
  )
  .chain(pieces =>
    // Now and then one piece floods: sequences have a limit, and what lies around it is where mistakes are.
    fc
      .option(
        fc.tuple(fc.nat(Math.max(0, pieces.length - 1)), fc.constantFrom(' ', 'x', ';', '1', '\x1b'), fc.integer({ min: 4080, max: 4110 })),
        {
          freq: 40,
        },
      )
      .map(flood => {
        if (!flood || pieces.length === 0) return pieces.join('')
        const [at, piece, times] = flood
        return [...pieces.slice(0, at + 1), piece.repeat(times), ...pieces.slice(at + 1)].join('')
      }),
  )

/** Words that name something in a program, or mean something to a parser, a shell, a database or a file system. */
const traps = [
  ...[
    '__proto__',
    'constructor',
    'prototype',
    'toString',
    'valueOf',
    'hasOwnProperty',
    '__defineGetter__',
    'then',
    'length',
    'NaN',
    'null',
    'undefined',
  ],
  ...[
    '..',
    '../..',
    '../../../../etc/passwd',
    '..%2f..%2fetc%2fpasswd',
    '%2e%2e/',
    '..\\..\\',
    '/etc/passwd',
    'file:///etc/passwd',
    '//evil.example',
    '/\\evil.example',
  ],
  ...[
    "' OR 1=1 --",
    '"; DROP TABLE bg_task; --',
    '%',
    '_',
    '\\',
    '$(id)',
    '`id`',
    '| id',
    '; id',
    '&& id',
    '--help',
    '-rf',
    '\0',
    '%00',
    '%',
    '%zz',
    '%E0%A4%A',
  ],
  ...[
    '<script>alert(1)</script>',
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '{{7*7}}',
    '<%= 7*7 %>',
    '<%~ it %>',
    '$' + '{7*7}',
    'javascript:alert(1)',
  ],
  ...['\r\n', '\r\nSet-Cookie: planted=1', '\u202e', '\ud800', '\ufeff', '😀', '1e999', '-0', '0x10', '9007199254740993', '-1', '1.5', '٣'],
]

/** A short text, often one that means something somewhere. */
export const hostileText: fc.Arbitrary<string> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...traps) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 24 }) },
  { weight: 2, arbitrary: fc.string({ maxLength: 24 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.constantFrom(...traps), fc.string({ maxLength: 6 }), fc.constantFrom(...traps)).map(parts => parts.join('')),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('a', '../', '[', '{"a":', '%'), fc.integer({ min: 100, max: 3_000 }))
      .map(([text, times]) => text.repeat(times)),
  },
)

const key = fc.oneof(fc.constantFrom(...traps), fc.string({ maxLength: 8 }))

/** The text of a JSON document: values of all kinds under hostile keys, sometimes broken, sometimes very deep. */
export const hostileJson: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.letrec<{ value: string }>(tie => ({
      value: fc.oneof(
        { maxDepth: 4 },
        fc.oneof(
          hostileText.map(text => JSON.stringify(text)),
          fc.double().map(String),
          fc.constantFrom('null', 'true', '1e999', '-0', '[]', '{}', '"\\ud800"', '"\\u0000"'),
        ),
        fc.array(tie('value'), { maxLength: 4 }).map(items => `[${items.join(',')}]`),
        fc
          .array(fc.tuple(key, tie('value')), { maxLength: 4 })
          .map(entries => `{${entries.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`),
      ),
    })).value,
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      '{"__proto__": {"polluted": 1}}',
      '{"\\u005f_proto__": {"polluted": 1}}',
      '{"constructor": {"prototype": {"polluted": 1}}}',
      '{"a": {"constructor": {"prototype": {"polluted": 1}}}}',
      '[{"__proto__": null}]',
      '{"__proto__":',
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom('[', '{"a":', '[[{"b":['), fc.integer({ min: 1, max: 20_000 }))
      .map(([open, times]) => open.repeat(times)),
  },
  {
    weight: 1,
    arbitrary: fc.integer({ min: 28, max: 5_000 }).map(depth => `${'['.repeat(depth)}${']'.repeat(depth)}`),
  },
  { weight: 1, arbitrary: hostileText },
)

/** A part of a query or of a path as somebody may write it on the wire: encoded, encoded twice, or as it is where the wire can carry it. */
export const onTheWire = (text: fc.Arbitrary<string>): fc.Arbitrary<string> =>
  fc.tuple(text, fc.constantFrom('once', 'twice', 'raw')).map(([given, how]) => {
    const whole = given.toWellFormed()
    if (how === 'once') return encodeURIComponent(whole)
    if (how === 'twice') return encodeURIComponent(encodeURIComponent(whole))
    // A request line ends at a space or a line end: those would only make another request.
    return [...Buffer.from(whole)]
      .map(byte => (byte > 0x20 && byte < 0x7f && byte !== 0x23 ? String.fromCharCode(byte) : `%${byte.toString(16).padStart(2, '0')}`))
      .join('')
  })
