/**
 * Resolves when this process is told to end, by Ctrl-C or SIGTERM. It is listened for until the end: from a terminal Ctrl-C comes twice, once by way of
 * the program that has started this one.
 */
export function toldToEnd(): Promise<unknown> {
  return new Promise((end) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, end)
  })
}
