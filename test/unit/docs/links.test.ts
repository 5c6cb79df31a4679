import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, it } from 'vitest'

const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', ...pagesIn('docs'), ...pagesIn('examples')]
const texts = new Map(pages.map((page) => [page, withoutBlocks(readFileSync(page, 'utf8'))]))
const links = pages.flatMap((page) =>
  [...(texts.get(page) ?? '').matchAll(/\]\(([^)\s]+)\)/g)].map((match) => [page, match[1] as string] as const),
)
const own = links.filter(([, link]) => !/^https?:/.test(link))

const DECISIONS = join('docs', 'design', 'decisions')

describe('links between pages', () => {
  it('are there', () => {
    expect(own.length).toBeGreaterThan(200)
  })

  it('lead to what there is', () => {
    expect(own.filter(([page, link]) => !existsSync(targetOf(page, link)))).toEqual([])
  })

  it('lead to headings that there are', () => {
    const dead = own.filter(([page, link]) => {
      const [, heading] = link.split('#')
      const text = texts.get(targetOf(page, link))
      return heading !== undefined && text !== undefined && !headingsOf(text).includes(heading)
    })
    expect(dead).toEqual([])
  })

  it.each(['guides', 'reference', 'design'])('of docs/README.md reach every page of %s', (folder) => {
    const listed = own.filter(([page]) => page === 'docs/README.md').map(([page, link]) => targetOf(page, link))
    const all = readdirSync(join('docs', folder)).filter((name) => name.endsWith('.md'))
    expect(all.map((name) => join('docs', folder, name)).filter((page) => !listed.includes(page))).toEqual([])
  })

  it('of the list of decisions name each by its title', () => {
    const listed = [...(texts.get(join(DECISIONS, 'README.md')) ?? '').matchAll(/^\| \[(\d+)\]\((\S+)\) \| (.*) \|$/gm)]
    const titles = readdirSync(DECISIONS).flatMap((name) => {
      const [, number, title] = /^# (\d{4}): (.*)/.exec(readFileSync(join(DECISIONS, name), 'utf8')) ?? []
      return number === undefined ? [] : [[number, name, title]]
    })
    expect(listed.map(([, ...row]) => row)).toEqual(titles.sort())
    expect(titles.length).toBeGreaterThan(20)
  })
})

function targetOf(page: string, link: string): string {
  const [path = ''] = link.split('#')
  return path === '' ? page : normalize(join(dirname(page), path))
}

/** As GitHub names them. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) =>
    heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, '')
      .replaceAll(' ', '-'),
  )
}

function withoutBlocks(text: string): string {
  return text.replace(/^```.*?^```/gms, '')
}

function pagesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name))
}
