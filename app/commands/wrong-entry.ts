import type { Sentence } from '../task/told.ts'

/** An entry of the commands file does not hold; its sentence goes on after "The command <name>". */
export class WrongEntry extends Error {
  readonly sentence: Sentence
  constructor(sentence: Sentence) {
    super(String(sentence))
    this.sentence = sentence
  }
}
