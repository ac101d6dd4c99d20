/** What to do about a file with `import` or `export` that Node takes for CommonJS, as in a project of `npm init`; '' for all other errors. */
export const commonJsHint = (error: unknown): string =>
  error instanceof SyntaxError && /^(Cannot use import statement outside a module|Unexpected token 'export')/.test(error.message)
    ? '; say "type": "module" in package.json, or write require() and exports instead of import and export'
    : ''
