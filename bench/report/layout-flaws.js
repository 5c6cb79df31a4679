/** Runs in the page, as an expression. What is wider than the screen must scroll within a frame of its own. */
;(() => {
  const root = document.documentElement
  const beyond = root.scrollWidth - root.clientWidth
  const plots = [...document.querySelectorAll('svg')].filter((plot) => {
    const { width, height } = plot.getBoundingClientRect()
    return plot.closest('details:not([open])') === null && (width < 100 || height < 20)
  })
  const lost = [...document.querySelectorAll('a[href^="#"]')]
    .map((link) => link.getAttribute('href'))
    .filter((href) => document.getElementById(href.slice(1)) === null)
  return [
    ...(beyond > 1 ? [`the page is ${beyond} px too wide`] : []),
    ...(plots.length > 0 ? [`${plots.length} plots have no size`] : []),
    ...lost.map((href) => `${href} leads nowhere`),
  ]
})()
