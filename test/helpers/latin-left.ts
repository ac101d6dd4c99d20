/**
 * Latin words on a Chinese page that nobody has excepted: a sentence that was forgotten shows up by them. Code, what programs have printed, and
 * what people have named is left out by where it stands (code, pre, samples, values of fields) or by a word of the list.
 */
export const latinLeft = (html: string, excepted: readonly RegExp[]): string[] => {
  const shown = html
    .replace(/<(script|style|code|pre|svg|datalist|textarea|turbo-stream)\b[\s\S]*?<\/\1>/g, ' ')
    .replace(/<head>[\s\S]*?<\/head>/, ' ')
    .replace(/<dl class="facts mono-facts">[\s\S]*?<\/dl>/g, ' ')
    .replace(/<select [^>]*name="(?:zone|time_zone)"[\s\S]*?<\/select>/g, ' ')
    .replace(
      /<[^>]*>/g,
      tag => ` ${[...tag.matchAll(/\s(?:placeholder|title|aria-label|alt)="([^"]*)"/g)].map(found => found[1]).join(' ')} `,
    )
    .replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)))
    .replaceAll('&quot;', '"')
    .replace(/&(lt|gt|amp);/g, ' ')
  const rest = excepted.reduce((text, words) => text.replace(new RegExp(words.source, `${words.flags.replace('g', '')}g`), ' '), shown)
  return [
    ...new Set((rest.match(/[A-Za-z][A-Za-z'’-]*(?:[ ,;:.]+[A-Za-z][A-Za-z'’-]*)*/g) ?? []).filter(found => /[A-Za-z]{3}/.test(found))),
  ]
}
