/** The little XML that STS answers: elements with text or elements in them, in order. */

/** STS's namespace, which is also the version of its API. */
export const NAMESPACE = 'https://sts.amazonaws.com/doc/2011-06-15/'

/** Members that are undefined are left out. */
export interface Elements {
  readonly [name: string]: string | number | Elements | undefined
}

/** The answer of an operation. */
export function responseOf(operation: string, result: Elements, requestId: string): string {
  const body = { [`${operation}Result`]: result, ResponseMetadata: { RequestId: requestId } }
  return `<${operation}Response xmlns="${NAMESPACE}">\n${written(body, '  ')}</${operation}Response>\n`
}

function written(elements: Elements, indent: string): string {
  let text = ''
  for (const [name, value] of Object.entries(elements)) {
    if (value === undefined) continue
    const inside = typeof value === 'object' ? `\n${written(value, `${indent}  `)}${indent}` : xml(String(value))
    text += `${indent}<${name}>${inside}</${name}>\n`
  }
  return text
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Text as XML. Characters that XML 1.0 cannot hold become U+FFFD. */
export function xml(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu, '\ufffd')
    .replace(/[&<>"']/g, mark => ENTITIES[mark] ?? mark)
}
