/**
 * Why a call failed that the cache has not answered in time. The cache may be well: on a busy machine everything is late. And the call may still take
 * place there, at any time.
 */
export class NoAnswer extends Error {
  constructor(limitMs: number) {
    super(`no answer within ${limitMs} ms`)
    this.name = 'NoAnswer'
  }
}
