// Opens pages in Chromium and prints what axe-core finds wrong with them, as JSON: node axe.js PAGE...
const { chromium } = require("playwright-core");
const { readFileSync } = require("fs");

const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const views = [
  { colorScheme: "light", viewport: { width: 1200, height: 900 } },
  { colorScheme: "dark", viewport: { width: 1200, height: 900 } },
  { colorScheme: "light", viewport: { width: 390, height: 800 } },
];

(async () => {
  const executablePath = process.env.HPO_TEST_CHROMIUM;
  const browser = await chromium.launch({ executablePath, args: ["--headless", "--no-sandbox", "--disable-gpu"] });
  const found = [];
  for (const path of process.argv.slice(2)) {
    for (const view of views) {
      const page = await browser.newPage(view);
      const say = what => found.push({ path, view: `${view.colorScheme} ${view.viewport.width}`, what });
      page.on("pageerror", error => say(`script: ${error}`));
      page.on("request", request => request.url().startsWith("file:") || request.url().startsWith("data:") || say(`asks for ${request.url()}`));
      await page.goto(`file://${path}`);
      await page.evaluate(axe);
      const { violations } = await page.evaluate(() => axe.run());
      violations.forEach(rule => say(`${rule.id} (${rule.impact}): ${rule.nodes[0].html.slice(0, 200)}`));
      if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) say("is wider than the screen");
      const head = page.locator("#trials thead button").nth(2);
      if (await head.count()) {
        await head.focus();
        await page.keyboard.press("Enter");
        if (await head.evaluate(node => node.parentElement.ariaSort) !== "ascending") say("a heading does not sort by keyboard");
        await page.emulateMedia({ media: "print" });
        await page.setViewportSize({ width: 1000, height: 700 });  // a landscape page between its margins
        if (await page.locator("#trials").evaluate(table => table.getBoundingClientRect().right > innerWidth)) say("its trials are cut off in print");
      }
      await page.close();
    }
  }
  await browser.close();
  process.stdout.write(JSON.stringify(found, null, 1));
})();
