/** An entry of the commands file does not hold; its message goes on after "The command <name>". */
export class WrongEntry extends Error {}
