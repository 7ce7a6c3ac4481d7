import js from "@eslint/js";
import globals from "globals";

export default [
  js.configs.recommended,
  { files: ["js/**"], languageOptions: { globals: globals.browser } },
  { files: ["tests/**", "*.js"], languageOptions: { globals: { ...globals.node, ...globals.browser } } },
  { rules: { eqeqeq: "error", "prefer-const": "error", "no-var": "error", "no-unused-vars": "error" } },
];
