import { INCIDENTS } from '../incidents/index.js'
import type { Act } from './act.js'
import { formatCount, formatTable } from './table.js'

/** Four stories that happened to somebody, each replayed the way it happened and once more over Corral. */
export const fourIncidents: Act = {
  title: 'Four incidents, replayed: the way they happened, then the same over Corral',

  async perform({ narrator, postgres, redis }) {
    const failures: string[] = []
    narrator.tell(
      'Each of these cost somebody money. Load and faults are the same on both sides; what is counted is damage, read from the database afterwards.',
    )
    for (const { letter, title, story, answer, replay } of INCIDENTS) {
      narrator.tell(`${letter}. ${title}.`, story)
      const damages = await replay({ postgres, redis })
      const rows = damages.map(
        ({ what, of, naive, corral }) =>
          [`  ${what}`, formatCount(of), formatCount(naive), formatCount(corral)] as const,
      )
      narrator.say('', ...formatTable(['', 'of', 'naive', 'Corral'], rows))
      narrator.tell(answer)
      const harmless = damages.every(({ naive }) => naive === 0)
      if (harmless) narrator.tell('The naive way got away with it this time: the race was not lost. Run it again.')
      for (const { what, corral } of damages) if (corral > 0) failures.push(`Incident ${letter}: ${corral} ${what}`)
    }
    return failures
  },
}
