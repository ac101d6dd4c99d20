export const execute = () => {}
