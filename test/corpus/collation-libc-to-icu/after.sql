CREATE COLLATION plain (provider = icu, locale = 'und');
