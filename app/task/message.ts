/** A sentence as data: `texts/translate.ts` makes it words in the reader's language. Times are milliseconds since 1970. */
export interface Message<Key extends string = string> {
  key: Key
  values: Record<string, string | number>
}
